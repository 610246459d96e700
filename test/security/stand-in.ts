// Someone with the token of a node's agent, who takes its place and follows the protocol.
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { agentsPath, subprotocol } from '../../protocol/messages.ts';
import { ScriptedAgent } from '../support/operator/scripted-agent.ts';
import type { RunningSystem } from '../support/system/running-system.ts';

export class StandIn implements AsyncDisposable {
  readonly agent = new ScriptedAgent();
  readonly #target: RunningSystem;
  readonly #node: string;

  private constructor(target: RunningSystem, node: string) {
    this.#target = target;
    this.#node = node;
  }

  /** Stops the real agent. The stand-in does not dial yet. */
  static async of(target: RunningSystem, node: string): Promise<StandIn> {
    await target.system.node(node).agent.stop();
    return new StandIn(target, node);
  }

  async dial(): Promise<void> {
    const { agentsPort } = this.#target.system.replicas[0];
    const socket = new WebSocket(`wss://127.0.0.1:${agentsPort}${agentsPath}`, [subprotocol], {
      headers: { authorization: `Bearer token-of-${this.#node}` },
      rejectUnauthorized: false,
      perMessageDeflate: false,
    });
    await once(socket, 'open');
    this.agent.attach(socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent.disconnect();
    await this.#target.system.node(this.#node).agent.start();
    const isBack = async () => (await this.#target.connectedHosts()) === this.#target.system.nodes.length;
    await this.#target.until('every host is connected', isBack);
  }
}
