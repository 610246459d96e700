// One agent's session (design §7). Reports go to the inventory; commands carry the session's epoch. The end of a
// session changes nothing: no VM is judged by the absence of its agent.
//
//   Introducing ──hello complete──► Accepting ──epoch taken──► Welcoming ──desired state sent──► Live
//
// A Live session that a newer one replaces is Leaving while users have streams open through it: it neither reports nor
// commands. Each state leads to Ended when either side closes the channel.
import type { Channel, ChannelClosed } from '../../protocol/channel.ts';
import {
  acknowledgementOf,
  type EarlierLogs,
  grantedLogLines,
  type MessageOfAgents,
  type MessageToAgents,
} from '../../protocol/earlier-agents.ts';
import type { Intent } from '../../protocol/intent.ts';
import {
  type Assignment,
  closeCodes,
  type Element,
  type Hello,
  type LastExit,
  limits,
  subprotocol,
} from '../../protocol/messages.ts';
import { networksCapability } from '../../protocol/network-facts.ts';
import { binaryStreams, forwardingCapability, streamsCapability } from '../../protocol/streams/messages.ts';
import type { DesiredMachine } from '../controller/instructions/agents.ts';
import { DesiredParts } from './desired-parts.ts';
import { Introduction } from './introduction.ts';
import type { Peer } from './peer.ts';
import { readReport } from './report-reading.ts';
import type { AgentIdentity, SessionEvents, SessionPorts, UnexpectedFromAgent } from './session-ports.ts';
import { type AgentStream, SessionStreams, type StreamRequest } from './session-streams.ts';
import { ToldSoFar } from './told-so-far.ts';

const introductionMilliseconds = 30_000;
/** Time for an agent to read the desired state of its host. */
const welcomeMilliseconds = 120_000;

export class AgentSession {
  readonly nodeName: string;
  /** Uid of the Node whose token the agent presented, if known. */
  readonly nodeUID: string | undefined;
  readonly #ports: SessionPorts;
  readonly #events: SessionEvents;
  readonly #peer: Peer;
  readonly #introduction = new Introduction();
  readonly #told = new ToldSoFar();
  #channel: Channel<MessageOfAgents, MessageToAgents> | undefined;
  #state: 'Introducing' | 'Accepting' | 'Welcoming' | 'Live' | 'Leaving' | 'Ended' = 'Introducing';
  #epoch = 0;
  readonly #streams = new SessionStreams({
    send: (message) => this.#send(message),
    sendData: (message) => this.#channel?.sendStream(message),
    epoch: () => this.#epoch,
    sendsBinary: () => this.hasCapability(forwardingCapability),
    idle: () => {
      if (this.#state === 'Leaving') this.#replaced();
    },
  });

  constructor({ nodeName, nodeUID }: AgentIdentity, peer: Peer, ports: SessionPorts, events: SessionEvents) {
    this.nodeName = nodeName;
    this.nodeUID = nodeUID;
    this.#ports = ports;
    this.#events = events;
    this.#peer = peer;
  }

  /** The channel must call `receive`. */
  async run(channel: Channel<MessageOfAgents, MessageToAgents>): Promise<ChannelClosed> {
    this.#channel = channel;
    const timer = this.#ports.clock.after(introductionMilliseconds, () => {
      if (this.#state === 'Introducing') this.close(closeCodes.malformed, 'no complete hello in time');
    });
    const closed = await channel.closed;
    timer.cancel();
    this.#state = 'Ended';
    this.#streams.end();
    return closed;
  }

  /** Work that is under way for this session has no effect any more. */
  close(code: number, reason: string): void {
    this.#state = 'Ended';
    this.#channel?.close(code, reason);
  }

  /** A newer session speaks for the node. Open streams of the same Node go on until their users are done. */
  giveWayTo(newer: AgentSession): void {
    const lasts = this.#state === 'Live' || this.#state === 'Leaving';
    if (lasts && this.#streams.size > 0 && this.nodeUID === newer.nodeUID) this.#state = 'Leaving';
    else this.#replaced();
  }

  #replaced(): void {
    this.close(closeCodes.replaced, 'replaced by a newer session');
  }

  receive(message: MessageOfAgents): void {
    this.#ports.observer.received(message.type);
    if (this.#state === 'Leaving') this.#receiveLast(message);
    else if (message.type === 'hello') this.#hello(message);
    else if (this.#state === 'Live' || this.#state === 'Welcoming') this.#report(message);
    else if (!this.#introduction.amend(message))
      this.#reject('message_before_hello', 'a report before a complete hello');
  }

  #receiveLast(message: MessageOfAgents): void {
    const { type } = message;
    if (type !== 'hello' && type !== 'observed' && type !== 'removed' && type !== 'logs' && type !== 'networks')
      this.#streams.receive(message);
  }

  /** Counts the misbehaviour and logs it now and then. */
  misbehaved(what: UnexpectedFromAgent): void {
    this.#ports.observer.misbehaved(what);
    if (this.#peer.mayTell()) this.#ports.logger.warn({ host: this.nodeName, what }, 'an agent misbehaves');
  }

  /** The channel must call this when the agent sends something that is not a message. */
  malformed(): void {
    this.misbehaved('malformed_message');
    this.#peer.keepOut();
  }

  /** The channel must call this with binary frames, which are stream data. */
  receiveBinary(frame: Buffer): boolean {
    this.#ports.observer.received('streamData');
    return (this.#state === 'Live' || this.#state === 'Leaving') && this.#streams.receiveBinary(frame);
  }

  // --- commands -------------------------------------------------------------------------------------------------------

  /**
   * Sends each change once. Between a release and the agent's `removed` nothing is sent about the VM: the agent would
   * begin it again, and the `removed` that is on its way would be taken for the end of the new one.
   */
  assign({ assignment, policy }: DesiredMachine): void {
    if (!this.#mayTell(assignment.uid) || !this.#told.isNews(assignment)) return;
    // The policy was read for an earlier session; the next pass reads it for this one.
    if (policy === undefined && this.needsPolicy(assignment)) return;
    this.#sendPolicy(assignment, policy);
    this.#note(assignment);
    this.#send({ type: 'assign', epoch: this.#epoch, virtualMachine: this.#readable(assignment) });
  }

  intend(intent: Intent): void {
    if (!this.#mayTell(intent.uid) || !this.#introduction.understandsIntents) return;
    if (this.#told.isNews(intent)) this.#sendIntent(intent);
  }

  /** What a session is not told before it is Live follows then. */
  #mayTell(uid: string): boolean {
    return this.#state === 'Live' && !this.#told.hasReleased(uid);
  }

  #sendIntent(intent: Intent): void {
    this.#note(intent);
    this.#send({ type: 'intent', epoch: this.#epoch, virtualMachine: intent });
  }

  /** An agent of an earlier version handled a long restart request under another name. */
  #readable({ restartedAtPrefix, ...assignment }: Assignment): Assignment {
    if (restartedAtPrefix === undefined) return assignment;
    return this.#introduction.understandsIntents
      ? { ...assignment, restartedAtPrefix }
      : { ...assignment, restartedAt: restartedAtPrefix };
  }

  needsPolicy(assignment: Assignment): boolean {
    return this.#told.needsPolicy(assignment);
  }

  release(uid: string): void {
    if (this.#state !== 'Live' || this.#told.hasReleased(uid)) return;
    this.#told.noteRelease(uid);
    this.#send({ type: 'release', epoch: this.#epoch, uid });
  }

  get isLeaving(): boolean {
    return this.#state === 'Leaving';
  }

  /** Whether this agent can serve streams now. */
  get streams(): 'Ready' | 'NotYet' | 'Unsupported' {
    if (this.#state !== 'Live') return 'NotYet';
    return this.#introduction.capabilities.includes(streamsCapability) ? 'Ready' : 'Unsupported';
  }

  /** Whether this agent also understands openings that came after the first version of streams. */
  hasCapability(capability: string): boolean {
    return this.#introduction.capabilities.includes(capability);
  }

  /** Undefined when the host or the VM already has the maximum number of streams. */
  openStream(request: StreamRequest): AgentStream | undefined {
    return this.#streams.open(request);
  }

  hasReleased(uid: string): boolean {
    return this.#told.hasReleased(uid);
  }

  // --- reports --------------------------------------------------------------------------------------------------------

  #hello(hello: Hello): void {
    const progress = this.#introduction.take(hello);
    if (progress === 'Repeated') this.#reject('second_hello', 'a second hello');
    if (progress === 'TooLong') this.#reject('hello_too_long', 'too many parts of a hello');
    if (progress !== 'Complete') return;
    if (this.#introduction.hasTooMany) this.misbehaved('too_many_virtual_machines');
    this.#state = 'Accepting';
    this.#accept().catch((error: unknown) => {
      this.#ports.logger.error({ host: this.nodeName, err: error }, 'a session could not be accepted');
      this.close(1011, 'internal error');
    });
  }

  #report(message: Exclude<MessageOfAgents, Hello>): void {
    if (message.type === 'observed') this.#observed(message.virtualMachine);
    else if (message.type === 'removed') this.#removed(message.uid, message.lastExit);
    else if (message.type === 'logs') this.#discard(message);
    else if (message.type === 'networks') this.#ports.networks(this.nodeName, message.network);
    else this.#streams.receive(message);
  }

  #observed(element: Element): void {
    const { inventory } = this.#ports;
    const known = inventory.reportedOn(this.nodeName);
    if (known.size >= limits.virtualMachinesPerHost && !known.has(element.uid)) {
      this.misbehaved('too_many_virtual_machines');
      return;
    }
    const report = inventory.observed(this.nodeName, readReport(element));
    if (report?.failure !== undefined) this.misbehaved('unparsable_report');
  }

  /**
   * An agent removes a VM only when it is released. If this session has not released it, an earlier one had. What this
   * session has told the agent since is on its way or waits there, so the VM may begin again, and is told once more.
   */
  #removed(uid: string, lastExit: LastExit | undefined): void {
    const { inventory } = this.#ports;
    if (inventory.presence(this.nodeName, uid) !== 'Present' && !this.#told.hasReleased(uid)) {
      this.misbehaved('removed_unknown_vm');
    }
    const mayBeginAgain = this.#told.has(uid);
    this.#told.forget(uid);
    inventory.removed(this.nodeName, uid, lastExit);
    if (mayBeginAgain) inventory.assigned(this.nodeName, uid);
  }

  #discard(logs: EarlierLogs): void {
    const acknowledgement = acknowledgementOf(logs);
    if (acknowledgement !== undefined) this.#send(acknowledgement);
  }

  // --- acceptance -----------------------------------------------------------------------------------------------------

  async #accept(): Promise<void> {
    const { host, protocolVersions } = this.#introduction;
    if (host === undefined || !protocolVersions.includes(subprotocol)) {
      this.close(closeCodes.malformed, `this operator speaks ${subprotocol}`);
      return;
    }
    if (!this.#peer.mayBeginSession()) {
      this.misbehaved('too_many_sessions');
      this.close(closeCodes.overflow, 'too many sessions of this node within a minute');
      return;
    }
    const acceptance = await this.#ports.accept(this.nodeName, { ...host, nodeUID: this.nodeUID });
    if (this.#state !== 'Accepting') return;
    if (!acceptance.ok) {
      this.#ports.logger.warn({ host: this.nodeName, error: acceptance.message }, 'a session was refused');
      this.close(acceptance.retry ? closeCodes.shuttingDown : closeCodes.unauthorized, acceptance.message);
      return;
    }
    this.#epoch = acceptance.epoch;
    this.#welcome();
    await this.#sendDesired();
  }

  #welcome(): void {
    const { inventory, replica, heartbeatSeconds } = this.#ports;
    this.#state = 'Welcoming';
    this.#ports.clock.after(welcomeMilliseconds, () => {
      if (this.#state === 'Welcoming') this.close(closeCodes.overflow, 'the desired state was not read in time');
    });
    this.#events.accepted(this);
    inventory.begin(this.nodeName, this.#introduction.takeReports(), this.#introduction.enumerated);
    this.#send({
      type: 'welcome',
      replica,
      epoch: this.#epoch,
      heartbeatSeconds,
      logWindow: grantedLogLines,
      streamEncodings: [binaryStreams],
      capabilities: [networksCapability],
    });
  }

  /** Sends one VM after another, at the agent's speed: all VMs with their policies may not fit into memory. */
  async #sendDesired(): Promise<void> {
    const parts = new DesiredParts((virtualMachines, last) => {
      this.#send({ type: 'desired', epoch: this.#epoch, virtualMachines, last });
    });
    for await (const told of this.#ports.desired(this.nodeName)) {
      if (this.#state !== 'Welcoming') return;
      if (!('intent' in told)) this.#collect(parts, told);
      else if (this.#introduction.understandsIntents) this.#sendIntent(told.intent);
      await this.#channel?.drained();
    }
    if (this.#state !== 'Welcoming') return;
    parts.end();
    this.#state = 'Live';
    this.#ports.inventory.settle(this.nodeName);
    this.#events.live(this);
  }

  #collect(parts: DesiredParts, { assignment, policy }: DesiredMachine): void {
    parts.add(this.#readable(assignment));
    this.#sendPolicy(assignment, policy);
    this.#note(assignment);
  }

  #note(told: Assignment | Intent): void {
    this.#told.note(told);
    this.#ports.inventory.assigned(this.nodeName, told.uid);
  }

  #sendPolicy({ policySHA256 }: Assignment, policy: string | undefined): void {
    if (policySHA256 === undefined || policy === undefined) return;
    if (this.#told.notePolicy(policySHA256, policy.length))
      this.#send({ type: 'policy', sha256: policySHA256, policy });
  }

  #send(message: MessageToAgents): void {
    if (this.#channel?.send(message) === true) this.#ports.observer.sent(message.type);
  }

  #reject(what: UnexpectedFromAgent, reason: string): void {
    this.misbehaved(what);
    this.#peer.keepOut();
    this.close(closeCodes.malformed, reason);
  }
}
