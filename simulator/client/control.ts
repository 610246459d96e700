// Pulls the strings of a simulated node from a test, a demonstration or a bench.
import type { FileEntry } from '../wire/file-entry.ts';
import type { SystemDetail } from '../wire/rpc.ts';
import type { ConnectionsOfPaused, GuestEnd, ScriptRuleInput, Visit } from '../wire/script.ts';
import { RpcClient } from './rpc-client.ts';

export class SimulatedHostControl {
  readonly #client: RpcClient;

  private constructor(client: RpcClient) {
    this.#client = client;
  }

  static async connect(socketPath: string): Promise<SimulatedHostControl> {
    return new SimulatedHostControl(await RpcClient.connect(socketPath, { ended: () => {}, disconnected: () => {} }));
  }

  /** Adds a rule; the number is for `release`. */
  async script(rule: ScriptRuleInput): Promise<number> {
    const added = await this.#client.call('script', { rule });
    return added.rule;
  }

  /** Ends a rule, or all: whoever is stalled at it goes on. */
  async release(rule?: number): Promise<void> {
    await this.#client.call('release', { rule });
  }

  /** The latest visits of steps, oldest first. */
  visits(): Promise<readonly Visit[]> {
    return this.#client.call('visits', {});
  }

  systems(): Promise<readonly SystemDetail[]> {
    return this.#client.call('systems', {});
  }

  async system(id: string): Promise<SystemDetail | undefined> {
    const systems = await this.systems();
    return systems.find((each) => each.id === id);
  }

  files(): Promise<readonly FileEntry[]> {
    return this.#client.call('files', {});
  }

  /** What guests have on their disks: path of the disk → names of files that are durable. */
  diskFiles(): Promise<Readonly<Record<string, readonly string[]>>> {
    return this.#client.call('diskFiles', {});
  }

  async endGuest(system: string, how: GuestEnd): Promise<void> {
    await this.#client.call('endGuest', { system, how });
  }

  /** Somebody pauses the VM on its host. */
  async pause(system: string, connections?: ConnectionsOfPaused): Promise<void> {
    await this.#client.call('pause', { system, ...(connections !== undefined && { connections }) });
  }

  async resume(system: string): Promise<void> {
    await this.#client.call('resume', { system });
  }

  /** A process of the guest, which no agent knows of, has the file open from now on. */
  async holdOpen(system: string, path: string): Promise<void> {
    await this.#client.call('holdOpen', { system, path });
  }

  async dropBridge(system: string): Promise<void> {
    await this.#client.call('dropBridge', { system });
  }

  /** Writes to the guest's log stream as it is, so many times. */
  async writeLog(system: string, text: string, times?: number): Promise<void> {
    await this.#client.call('writeLog', { system, text, ...(times !== undefined && { times }) });
  }

  /** The compute service restarts: agents see it disconnect, its VMs run on. */
  async disconnectClients(): Promise<void> {
    await this.#client.call('disconnectClients', {});
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}
