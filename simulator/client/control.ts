// Controls a simulated node from a test, a demonstration or a benchmark.
import type { FileEntry } from '../wire/file-entry.ts';
import type { SimulatedNetworkInput } from '../wire/network.ts';
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

  /** Adds a rule. `release` takes the returned number. */
  async script(rule: ScriptRuleInput): Promise<number> {
    const added = await this.#client.call('script', { rule });
    return added.rule;
  }

  /** Ends one rule, or all. Calls that stall because of it continue. */
  async release(rule?: number): Promise<void> {
    await this.#client.call('release', { rule });
  }

  /** The latest visits to steps, oldest first. */
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

  /** The content of guests' disks: path of the disk → names of durable files. */
  diskFiles(): Promise<Readonly<Record<string, readonly string[]>>> {
    return this.#client.call('diskFiles', {});
  }

  async endGuest(system: string, how: GuestEnd): Promise<void> {
    await this.#client.call('endGuest', { system, how });
  }

  /** Pauses the VM, as an administrator of the host could. */
  async pause(system: string, connections?: ConnectionsOfPaused): Promise<void> {
    await this.#client.call('pause', { system, ...(connections !== undefined && { connections }) });
  }

  async resume(system: string): Promise<void> {
    await this.#client.call('resume', { system });
  }

  /** Lets a process of the guest write a file, without syncing it. */
  async writeFile(system: string, path: string): Promise<void> {
    await this.#client.call('writeFile', { system, path });
  }

  /** Lets a process of the guest, unknown to any agent, open the file. */
  async holdOpen(system: string, path: string): Promise<void> {
    await this.#client.call('holdOpen', { system, path });
  }

  async dropBridge(system: string): Promise<void> {
    await this.#client.call('dropBridge', { system });
  }

  /** Writes the raw text to the guest's log stream, `times` times. */
  async writeLog(system: string, text: string, times?: number): Promise<void> {
    await this.#client.call('writeLog', { system, text, ...(times !== undefined && { times }) });
  }

  /** Restarts the compute service: agents are disconnected, and the VMs keep running. */
  async disconnectClients(): Promise<void> {
    await this.#client.call('disconnectClients', {});
  }

  async addNetwork(network: SimulatedNetworkInput): Promise<void> {
    await this.#client.call('addNetwork', { network });
  }

  /** With its endpoints. */
  async removeNetwork(id: string): Promise<void> {
    await this.#client.call('removeNetwork', { id });
  }

  /** HNS starts again: endpoints are gone, and networks that are not persistent. */
  async restartHns(): Promise<void> {
    await this.#client.call('restartHns', {});
  }

  /** HNS is as after a reboot of the node. */
  async rebootHns(): Promise<void> {
    await this.#client.call('rebootHns', {});
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}
