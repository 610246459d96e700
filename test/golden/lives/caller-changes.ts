// What the caller changes of the running VM by its manifest.
import { z } from 'zod';
import { resourceUpdate, updateResources } from '../../../agent/modification/resource-update.ts';
import type { DiskUse } from '../../../agent/modification/scsi-disks.ts';
import { type RequestedOptions, requestedOptions } from '../../../protocol/options.ts';
import type { ArgsOf } from './call-args.ts';
import type { CallerDevices } from './caller-devices.ts';
import { osBuild } from './host.ts';
import type { LifeAgent } from './life-agent.ts';
import { doneOnce, type Pending, refusal, troubleOf } from './outcome.ts';

const mebibyte = 2 ** 20;

type Disk = NonNullable<RequestedOptions['Disks']>[number];

export class CallerChanges {
  readonly #agent: LifeAgent;
  readonly #devices: CallerDevices;
  readonly #disks: (Disk | DiskUse)[] = [];
  #lastDisk = 0;

  constructor(agent: LifeAgent, devices: CallerDevices) {
    this.#agent = agent;
    this.#devices = devices;
  }

  /** Comes back once the VM has it, or the agent has said why not. */
  change(options: RequestedOptions): Pending {
    const agent = this.#agent;
    agent.want({ ...agent.wanted, ...options }, agent.isOver ? 'Halted' : 'Once');
    return () => {
      const conditions = agent.observe()?.conditions ?? [];
      const ready = conditions.find(({ type }) => type === 'Ready');
      if (conditions.some(({ type }) => type === 'RestartRequired')) return refusal('a restart is required');
      if (ready === undefined || ready.status === 'True' || agent.state !== 'Running') return { ok: true };
      return ready.reason === 'Changing' ? undefined : troubleOf(agent);
    };
  }

  update({ cpuGroup, memoryBytes, quota, shares }: ArgsOf<'update'>): Pending {
    const big = z.int().transform(BigInt).optional();
    const changes = {
      ...(memoryBytes !== undefined && { MemorySizeInMB: Math.floor(memoryBytes / mebibyte) }),
      ...(quota !== undefined && { ProcessorLimit: quota }),
      ...(shares !== undefined && { ProcessorWeight: shares }),
      ...(cpuGroup !== undefined && { CPUGroupID: cpuGroup }),
    };
    const inManifest = requestedOptions.safeParse(changes);
    if (inManifest.success) return this.change(inManifest.data);
    // What no manifest may say, such as a quota without limit.
    const cpu =
      quota === undefined && shares === undefined ? undefined : { limit: big.parse(quota), shares: big.parse(shares) };
    const update = resourceUpdate({ memoryLimit: big.parse(memoryBytes), cpu }, cpuGroup);
    const { target } = this.#agent;
    return doneOnce(() => updateResources(update, { build: osBuild, refreshesGuest: true }, target));
  }

  updateProcessor({ limit, weight }: ArgsOf<'updateCPU'>): Pending {
    return this.change({
      ...(limit !== undefined && { ProcessorLimit: limit }),
      ...(weight !== undefined && { ProcessorWeight: weight }),
    });
  }

  addDisk({ ensureFilesystem, filesystem, guestPath, hostPath, readOnly, ...how }: ArgsOf<'addDisk'>): Pending {
    const isPlain = !ensureFilesystem && filesystem === '' && !how.encrypted && !how.blockDev && how.partition === 0;
    if (isPlain && how.options.length === 0) {
      this.#lastDisk += 1;
      const name = `disk-${this.#lastDisk}`;
      return this.#addPlainDisk({ name, path: hostPath, readOnly, ...(guestPath !== '' && { mountPath: guestPath }) });
    }
    const mount = {
      readOnly,
      encrypted: how.encrypted,
      blockDevice: how.blockDev,
      partition: how.partition,
      options: how.options,
      ensureFilesystem,
      filesystem,
      ...(guestPath !== '' && { guestPath }),
    };
    return doneOnce(async () => {
      this.#disks.push(await this.#devices.addDisk(hostPath, readOnly, mount));
    });
  }

  #addPlainDisk(disk: Disk): Pending {
    const agent = this.#agent;
    const others = agent.wanted.Disks ?? [];
    this.#disks.push(disk);
    const changed = this.change({ Disks: [...others, disk] });
    return () => {
      const outcome = changed();
      // This caller does not try again.
      if (outcome?.ok === false) {
        this.#disks.splice(this.#disks.indexOf(disk), 1);
        this.change({ Disks: others });
      }
      return outcome;
    };
  }

  removeDisk(): Pending {
    const [disk] = this.#disks;
    if (disk === undefined) return () => refusal('there is no disk');
    if ('slot' in disk) {
      return doneOnce(async () => {
        await this.#devices.removeDisk(disk);
        this.#disks.shift();
      });
    }
    this.#disks.shift();
    return this.change({ Disks: (this.#agent.wanted.Disks ?? []).filter((each) => each.name !== disk.name) });
  }
}
