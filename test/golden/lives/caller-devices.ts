// What the caller gives to the running VM that no manifest can ask for yet: by the modules that the agent has for it.
import { modifyDocument } from '../../../agent/modification/document.ts';
import { hvSocketServiceRemove, hvSocketServiceUpdate } from '../../../agent/modification/hvsocket-services.ts';
import { type MountedShare, Plan9Shares } from '../../../agent/modification/plan9.ts';
import { type DiskUse, ScsiDisks, type WantedMount } from '../../../agent/modification/scsi-disks.ts';
import { PciDevices, type PciFunction } from '../../../agent/modification/vpci.ts';
import { PackedImages, SingleImages } from '../../../agent/modification/vpmem.ts';
import type { NetworkEndpoint } from '../../../agent/network/endpoint.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import type { ArgsOf } from './call-args.ts';
import { osBuild } from './host.ts';
import { type LifeAgent, systemID } from './life-agent.ts';
import { NetworkAdapters } from './network.ts';

const scsiControllers = 4;
const bootDisk = 'C:\\LinuxBootFiles\\rootfs.vhd';
/** What the original's caller sets of a socket service. */
const serviceDescriptor = 'D:P(A;;FA;;;SY)';

/** A rollback that fails too is only logged by the original. */
function undoFailed(): void {}

export class CallerDevices {
  readonly #agent: LifeAgent;
  readonly #options: RequestedOptions;
  readonly #shares: MountedShare[] = [];
  readonly #images: string[] = [];
  readonly #devices: PciFunction[] = [];
  readonly #adapters = new NetworkAdapters();
  readonly #plan9: Plan9Shares;
  readonly #scsi = new ScsiDisks(scsiControllers, [], undoFailed);
  readonly #pmem: PackedImages | SingleImages;
  readonly #pci = new PciDevices(systemID, osBuild, undoFailed);

  constructor(options: RequestedOptions, agent: LifeAgent) {
    this.#agent = agent;
    this.#options = options;
    const { NoWritableFileShares, VPMemDeviceCount, VPMemNoMultiMapping, VPMemSizeBytes } = options;
    const limits = {
      maximumCount: VPMemDeviceCount ?? 64,
      maximumSizeBytes: VPMemSizeBytes ?? 2 ** 32,
      reserved: agent.host.sizeOf(bootDisk) > 0 ? [0] : [],
    };
    this.#plan9 = new Plan9Shares({ build: osBuild, refusesWritable: NoWritableFileShares ?? false }, undoFailed);
    this.#pmem =
      VPMemNoMultiMapping === true
        ? new SingleImages(limits, systemID, undoFailed)
        : new PackedImages(limits, systemID, undoFailed);
  }

  get #target() {
    return this.#agent.target;
  }

  async addDisk(path: string, readOnly: boolean, mount: WantedMount): Promise<DiskUse> {
    await this.#agent.backend.grantVmAccess(systemID, path);
    return await this.#scsi.add({ type: 'VirtualDisk', path, readOnly }, mount, this.#target);
  }

  async removeDisk(disk: DiskUse): Promise<void> {
    await this.#scsi.release(disk, this.#target);
  }

  async removeShare(): Promise<void> {
    await removeFirst(this.#shares, (share) => this.#plan9.remove(share, this.#target));
  }

  async removeImage(): Promise<void> {
    await removeFirst(this.#images, (path) => this.#pmem.remove(path, this.#target));
  }

  async removeDevice(): Promise<void> {
    await removeFirst(this.#devices, (device) => this.#pci.remove(device, this.#target));
  }

  async removeAdapters(): Promise<void> {
    await this.#adapters.removeAll(this.#networking, this.#target);
  }

  async removeSocketService(id: string): Promise<void> {
    await this.#target.host(modifyDocument(hvSocketServiceRemove(id)));
  }

  async addShare({ allowed, guestPath, hostPath, readOnly, restrict }: ArgsOf<'addPlan9'>): Promise<void> {
    const onlyFiles = restrict ? (allowed ?? []) : undefined;
    this.#shares.push(await this.#plan9.add({ hostPath, guestPath, readOnly, onlyFiles }, this.#target));
  }

  async addImage(hostPath: string): Promise<void> {
    const image = { path: hostPath, sizeInBytes: this.#agent.host.sizeOf(hostPath) };
    await this.#pmem.add(image, this.#target);
    this.#images.push(hostPath);
  }

  get #networking() {
    const { guest } = this.#agent.observe() ?? {};
    return {
      hasNamespaces: guest?.capabilities.includes('NamespaceAddRequestSupported') ?? false,
      policyBasedRouting: this.#options.PolicyBasedRouting ?? false,
    };
  }

  async addAdapters(endpoints: readonly NetworkEndpoint[]): Promise<void> {
    for (const endpoint of endpoints) {
      await this.#adapters.add(this.#agent.drawGuid(), endpoint, this.#networking, this.#target);
    }
  }

  async assignDevice(wanted: ArgsOf<'assignDevice'>): Promise<void> {
    const device = { deviceInstanceID: wanted.instance, virtualFunctionIndex: wanted.function };
    await this.#pci.add(device, this.#agent.drawGuid(), this.#target);
    this.#devices.push(device);
  }

  async setSocketService(id: string): Promise<void> {
    const service = {
      bindSecurityDescriptor: serviceDescriptor,
      connectSecurityDescriptor: serviceDescriptor,
      allowWildcardBinds: true,
    };
    await this.#target.host(modifyDocument(hvSocketServiceUpdate(id, service)));
  }

  async sendFragment({ fragment, mediaType }: ArgsOf<'policyFragment'>): Promise<void> {
    const settings = { Fragment: fragment, ...(mediaType !== undefined && { MediaType: mediaType }) };
    await this.#target.guest?.({ resourceType: 'SecurityPolicyFragment', requestType: 'Add', settings });
  }
}

/** What is refused stays. */
async function removeFirst<T>(list: T[], remove: (first: T) => Promise<void>): Promise<void> {
  const [first] = list;
  if (first === undefined) throw new Error('there is nothing to be removed');
  await remove(first);
  list.shift();
}
