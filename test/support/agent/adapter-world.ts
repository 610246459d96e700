// A host with the simulated HNS, one VM with a guest, and an agent that has only a journal: for tests of network
// adapters. Every call of the agent is a line at which it can die or meet an error, before or after the effect.

import type { GuestModification } from '../../../agent/guest/bridge/guest-modification.ts';
import { adapterRun } from '../../../agent/modification/adapter-run.ts';
import type { AdapterGuest } from '../../../agent/modification/network-adapters.ts';
import { type Adapter, newAdapter } from '../../../agent/network/adapter/adapter.ts';
import { AdapterExecutor, type StepOutcome } from '../../../agent/network/adapter/executor.ts';
import { adapterRowOf } from '../../../agent/network/adapter/states.ts';
import type { AdapterGoal } from '../../../agent/network/adapter/turns.ts';
import { type EndpointWish, endpointDocument, identityOf } from '../../../agent/network/endpoint-document.ts';
import { ServiceNetworks } from '../../../agent/network/host-networks.ts';
import { HcsError } from '../../../agent/node/hcs-error.ts';
import { HnsError, hnsResult } from '../../../agent/node/hns-error.ts';
import type { EndpointId, NetworkId, NetworkService } from '../../../agent/node/network-service.ts';
import { SimulatedHns } from '../../../simulator/service/hns/hns.ts';
import { simulatedNetwork } from '../../../simulator/wire/network.ts';

export const network = '7c1e3f52-2f0e-4f2b-9d8f-5a0c1f5b9a02' as NetworkId;
export const uid = 'b7c9f3a2-5d0e-4c1b-8f6a-3e2d1c0b9a87';
const guest: AdapterGuest = { hasNamespaces: true, policyBasedRouting: false };

/** What happens at a line: counted from 0, from now on. */
export interface Fault {
  readonly line: number;
  readonly when: 'before' | 'after';
  /** The agent dies; or HNS, HCS or the guest reports this error. */
  readonly kind: 'death' | number;
}

class Death extends Error {}

export class AdapterWorld {
  readonly hns: SimulatedHns;
  goal: AdapterGoal = 'attached';
  wish: EndpointWish = { uid, name: 'eth0', network };
  now = 0;
  hasRun = true;
  /** Names of the calls so far. */
  readonly lines: string[] = [];
  /** Entries of the journal that do not follow from the entry before. */
  readonly illegal: string[] = [];
  readonly places = new Set<string>();
  readonly inHost = new Set<string>();
  readonly inGuest = new Set<string>();
  journal: Adapter | undefined;
  /** What HNS does instead of creating an endpoint. */
  create: NetworkService['createEndpoint'] | undefined;
  #faults: Fault[] = [];
  #isDead = false;
  #executor: AdapterExecutor;
  #macs = 0;

  constructor() {
    this.hns = new SimulatedHns({
      version: { major: 13, minor: 2 },
      isInstalled: true,
      networks: [simulatedNetwork.parse({ id: network, name: 'nat', subnets: ['172.20.0.0/16'] })],
      script: { visit: async () => ({ kind: 'proceed' }) },
      randomUUID: () => {
        this.#macs += 1;
        return `${this.#macs.toString(16).padStart(8, '0')}-0000-4000-8000-000000000000`.replace(
          /^(..)(......)/,
          '$2$1',
        );
      },
    });
    this.#executor = this.#newExecutor();
  }

  plan(fault: Fault): void {
    this.#faults.push({ ...fault, line: fault.line + this.lines.length });
  }

  /** As an agent acts: a new one after a death. */
  async step(): Promise<StepOutcome | undefined> {
    return await this.#alive(async (adapter) => this.#executor.step(adapter, this.#wanted()));
  }

  async compare(): Promise<StepOutcome | undefined> {
    return await this.#alive(async (adapter) => this.#executor.compare(adapter));
  }

  async endRun(): Promise<void> {
    this.hasRun = false;
    this.inHost.clear();
    this.inGuest.clear();
    await this.#settleEnd();
  }

  async startRun(): Promise<void> {
    if (!this.hasRun) await this.#settleEnd();
    this.hasRun = true;
  }

  /** Forgets the faults that were not met, and steps until the adapter rests. The steps that failed. */
  async settle(): Promise<readonly StepOutcome[]> {
    this.#faults = [];
    const failures: StepOutcome[] = [];
    for (let steps = 0; steps < 60; steps += 1) {
      const outcome = await this.step();
      if (outcome === undefined || outcome.kind === 'rests') return failures;
      if (outcome.kind === 'failed') failures.push(outcome);
      this.now += 61_000;
    }
    throw new Error(`the adapter does not come to rest: ${JSON.stringify([this.journal, failures.at(-1)])}`);
  }

  /** Somebody else's endpoint with the name of ours. Nothing if it is there. */
  async addForeign(id: string, address: string): Promise<void> {
    const { text } = endpointDocument({ ...this.wish, addresses: [`${address}/16`], ports: [] });
    await this.hns.createEndpoint(network, id as EndpointId, text.replace(identityOf(this.wish).id, id)).catch(ifThere);
  }

  async endpoints(): Promise<readonly string[]> {
    return await new ServiceNetworks(this.hns).endpoints();
  }

  /** The agent learns of the end of the VM, whatever happens meanwhile: a new agent asks HCS. */
  async #settleEnd(): Promise<void> {
    const ending = async () => this.#alive(async (adapter) => this.#executor.runEnded(adapter));
    await ending();
    this.#faults = [];
    await ending();
  }

  async #alive<T>(act: (adapter: Adapter) => Promise<T>): Promise<T | undefined> {
    if (this.journal?.state === 'gone') return undefined;
    try {
      this.journal ??= newAdapter(this.wish);
      return await act(this.journal);
    } catch (error) {
      if (!this.#isDead && !(error instanceof JournalFull)) throw error;
      return undefined;
    } finally {
      if (this.#isDead) await this.#revive();
    }
  }

  async #revive(): Promise<void> {
    this.#isDead = false;
    this.#executor = this.#newExecutor();
    if (this.journal !== undefined && this.hasRun) {
      await this.#alive(async (adapter) => this.#executor.adopted(adapter));
    }
  }

  #wanted() {
    return { goal: this.goal, wish: this.wish, run: this.hasRun ? this.#run() : undefined };
  }

  #newExecutor(): AdapterExecutor {
    const { hns } = this;
    const service: NetworkService = {
      version: () => hns.version(),
      listNetworks: () => this.#line('listNetworks', () => hns.listNetworks()),
      readNetwork: (id) => this.#line('readNetwork', () => hns.readNetwork(id)),
      listEndpoints: () => this.#line('listEndpoints', () => hns.listEndpoints()),
      readEndpoint: (id) => this.#line('readEndpoint', () => hns.readEndpoint(id)),
      createEndpoint: (...parameters) =>
        this.#line('createEndpoint', () => this.create?.(...parameters) ?? hns.createEndpoint(...parameters)),
      modifyEndpoint: (id, change) => this.#line('modifyEndpoint', () => hns.modifyEndpoint(id, change)),
      deleteEndpoint: (id) => this.#line('deleteEndpoint', () => hns.deleteEndpoint(id)),
    };
    return new AdapterExecutor({
      networks: new ServiceNetworks(service),
      clock: { now: () => this.now, after: () => ({ cancel: () => undefined }) },
      journal: { write: (adapter) => this.#line('journal', async () => this.#record(adapter)) },
    });
  }

  #record(adapter: Adapter): void {
    const before = this.journal?.state ?? 'creating';
    const isEdge = Object.values(adapterRowOf(before).events).includes(adapter.state);
    if (!isEdge) this.illegal.push(`${before} to ${adapter.state}`);
    if ('place' in adapter && adapter.place !== undefined) this.places.add(JSON.stringify(adapter.place));
    this.journal = JSON.parse(JSON.stringify(adapter));
  }

  #run() {
    const target = {
      host: (document: string) => this.#line('host', async () => this.#host(document)),
      guest: (request: GuestModification) => this.#line('guest', async () => this.#guest(request)),
    };
    return adapterRun(target, guest, (adapterId) =>
      this.#line('configure', async () => {
        if (!this.inHost.has(adapterId) || !this.inGuest.has(adapterId)) throw new Error('no such interface');
        return 'eth0';
      }),
    );
  }

  async #host(text: string): Promise<void> {
    const document: { ResourcePath: string; RequestType: string; Settings: { EndpointId: string } } = JSON.parse(text);
    const id = document.ResourcePath.split('/').at(-1) ?? '';
    if (document.RequestType === 'Remove') {
      if (!this.inHost.delete(id)) throw new HcsError('HcsModifyComputeSystem', 0x8007_0490);
      return;
    }
    if (this.inHost.has(id)) throw new HcsError('HcsModifyComputeSystem', 0x8007_00b7);
    if (!(await this.endpoints()).includes(document.Settings.EndpointId as EndpointId)) {
      throw new HcsError('HcsModifyComputeSystem', 0x803b_0002);
    }
    this.inHost.add(id);
  }

  /** The guest refuses an adapter that it has (guest-network 2.1). */
  #guest(request: GuestModification): void {
    if (request.resourceType !== 'Network') throw new Error(`no request for ${request.resourceType} is expected`);
    const { requestType, settings } = request;
    const id = settings.ID ?? '';
    if (requestType === 'Remove') this.inGuest.delete(id);
    else if (this.inGuest.has(id)) throw new Error(`adapter with id: '${id}' already present in namespace`);
    else this.inGuest.add(id);
  }

  async #line<T>(name: string, act: () => Promise<T>): Promise<T> {
    if (this.#isDead) throw new Death();
    const fault = this.#faults.find(({ line }) => line === this.lines.length);
    this.lines.push(name);
    if (fault?.when === 'before') this.#meet(name, fault);
    const result = await act();
    if (fault?.when === 'after') this.#meet(name, fault);
    return result;
  }

  #meet(name: string, { kind }: Fault): never {
    if (kind === 'death') {
      this.#isDead = true;
      throw new Death();
    }
    if (name === 'journal') throw new JournalFull();
    if (name === 'host') throw new HcsError('HcsModifyComputeSystem', kind);
    if (name === 'guest' || name === 'configure') throw new Error('the guest refuses');
    const operations: Readonly<Record<string, string>> = {
      createEndpoint: 'HcnCreateEndpoint',
      listNetworks: 'HcnEnumerateNetworks',
    };
    throw new HnsError(operations[name] ?? 'HcnOpenEndpoint', kind);
  }
}

function ifThere(error: unknown): void {
  if (!(error instanceof HnsError) || error.hresult !== hnsResult.alreadyExists) throw error;
}

class JournalFull extends Error {}
