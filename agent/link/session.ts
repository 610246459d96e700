// One connection to the operator, from `hello` to its end: reports the state of the host's VMs and receives what is
// wanted (design §7).
import type { Logger } from 'pino';
import { Channel, type ChannelClosed } from '../../protocol/channel.ts';
import { optionsDigest, sha256Hex } from '../../protocol/digest.ts';
import { intentsCapability, parseIntent } from '../../protocol/intent.ts';
import {
  type AgentMessage,
  type Assignment,
  closeCodes,
  type Element,
  type HostFacts,
  type LastExit,
  limits,
  type OperatorMessage,
  operatorMessage,
  type Parsed,
  parseAssignment,
  subprotocol,
  type Welcome,
} from '../../protocol/messages.ts';
import { type NetworkFacts, networksCapability } from '../../protocol/network-facts.ts';
import type { Socket } from '../../protocol/socket.ts';
import {
  type AgentStreamMessage,
  binaryStreams,
  forwardingCapability,
  inspectionCapability,
  type OperatorStreamMessage,
  type StreamOpening,
  streamOpening,
  streamsCapability,
} from '../../protocol/streams/messages.ts';
import { BoundedMemory } from '../../runtime/bounded-memory.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { fixedTimes } from '../bounds/timeouts.ts';
import { abridgedReport, fittedReport, reportShare } from '../vm/report-size.ts';
import type { Supervisor } from '../vm/supervisor.ts';
import type { Epochs } from './epochs.ts';

/** After a hello, complete reports are sent in groups of this size, so that new changes do not wait for all of them. */
const reportsAtOnce = 64;

type Command = Exclude<Extract<OperatorMessage, { epoch: number }>, Welcome>;

const streamOpeningTypes: ReadonlySet<string> = new Set(streamOpening.options.map(({ shape }) => shape.type.value));

function isStreamOpening({ type }: Command): boolean {
  return streamOpeningTypes.has(type);
}

/** How streams send to the operator. */
export interface StreamLane {
  /** Sends ahead of all data. */
  readonly send: (message: AgentStreamMessage) => void;
  /** Sends within the budget of streams. */
  readonly sendData: (message: AgentStreamMessage | Buffer) => void;
  /** Whether the operator accepts data as binary frames. */
  readonly sendsBinary: () => boolean;
}

/** The streams of one session (`agent/streams/stream-server.ts`). */
export interface SessionStreams {
  /** Number of open streams. */
  readonly size: number;
  open(opening: StreamOpening): void;
  receive(message: Exclude<OperatorStreamMessage, StreamOpening>): void;
  /** False when the frame is not stream data. */
  receiveBinary(frame: Buffer): boolean;
  /** The VM and everything about it is gone. */
  forget(uid: string): void;
  /** The session is over. */
  end(): void;
}

export interface SessionPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly supervisor: Pick<
    Supervisor,
    'assign' | 'count' | 'intend' | 'loggerOf' | 'machine' | 'observe' | 'refuse' | 'release' | 'uids'
  >;
  readonly agentVersion: string;
  readonly agentBootID: string;
  readonly host: HostFacts;
  /** The networks of the host as they are now; undefined as long as they could not be read. */
  readonly networks: () => NetworkFacts | undefined;
  readonly openStreams: (lane: StreamLane) => SessionStreams;
  /** The epochs of all sessions with operators. */
  readonly epochs: Epochs<OperatorSession>;
}

export class OperatorSession {
  readonly closed: Promise<ChannelClosed>;
  /** Resolves with the operator's `welcome`. Never resolves when the session ends first. */
  readonly welcomed: Promise<Welcome>;

  readonly #ports: SessionPorts;
  readonly #channel: Channel<OperatorMessage, AgentMessage>;
  readonly #policies = new BoundedMemory<string>(limits.keptPolicyBytes);
  /** Digest of the last report of each VM, without its log text. */
  readonly #said = new Map<string, string>();
  readonly #dirty = new Set<string>();
  /** VMs for which the operator has only the hello's abridged state. */
  readonly #owed = new Set<string>();
  /** The largest size of a report. */
  #share = 0;
  #flush: Timer | undefined;
  readonly #streams: SessionStreams;
  #sendsBinary = false;
  /** The networks that the operator was told last, as JSON. */
  #saidNetworks: string | undefined;
  #understandsNetworks = false;
  #epoch: number | undefined;
  #resolveWelcomed: (welcome: Welcome) => void = () => {};

  constructor(socket: Socket, ports: SessionPorts) {
    this.#ports = ports;
    this.welcomed = new Promise((resolve) => {
      this.#resolveWelcomed = resolve;
    });
    this.#channel = new Channel<OperatorMessage, AgentMessage>(socket, {
      schema: operatorMessage,
      clock: ports.clock,
      heartbeat: 'watcher',
      heartbeatSeconds: fixedTimes.link.firstHeartbeat / 1000,
      onMessage: (message) => this.#receive(message),
      onBinary: (frame) => this.#streams.receiveBinary(frame),
    });
    this.closed = this.#channel.closed;
    this.#streams = ports.openStreams({
      send: (message) => this.#channel.send(message),
      sendData: (message) => this.#channel.sendStream(message),
      sendsBinary: () => this.#sendsBinary,
    });
    this.closed.then(() => {
      this.#streams.end();
      ports.epochs.ended(this);
    });
    this.#hello();
  }

  /** Number of open streams of this session. */
  get streams(): number {
    return this.#streams.size;
  }

  changed(uid: string): void {
    this.#dirty.add(uid);
    this.#flushSoon();
  }

  removed(uid: string, lastExit?: LastExit): void {
    this.#dirty.delete(uid);
    this.#owed.delete(uid);
    this.#said.delete(uid);
    this.#streams.forget(uid);
    this.#channel.send({ type: 'removed', uid, ...(lastExit && { lastExit }) }, uid);
  }

  /** Tells the networks of the host, if the operator was told others. */
  networksChanged(): void {
    const network = this.#ports.networks();
    const said = JSON.stringify(network);
    if (network === undefined || !this.#understandsNetworks || said === this.#saidNetworks) return;
    this.#saidNetworks = said;
    this.#channel.sendLatest('networks', { type: 'networks', network });
  }

  close(code: number, reason: string): void {
    this.#flush?.cancel();
    this.#channel.close(code, reason);
  }

  // --- what is --------------------------------------------------------------------------------------------------------

  #hello(): void {
    const { supervisor, agentVersion, agentBootID, host, epochs } = this.#ports;
    const lastEpoch = epochs.last;
    const all = supervisor.uids().flatMap((uid) => supervisor.observe(uid) ?? []);
    for (let first = 0; first === 0 || first < all.length; first += limits.partElements) {
      const last = first + limits.partElements >= all.length;
      this.#channel.send({
        type: 'hello',
        protocolVersions: [subprotocol],
        agentVersion,
        bootID: agentBootID,
        ...(lastEpoch !== undefined && { lastEpoch }),
        capabilities: [streamsCapability, inspectionCapability, forwardingCapability, intentsCapability],
        host: first === 0 || last ? host : { ...host, bootFiles: [], network: undefined },
        virtualMachines: all.slice(first, first + limits.partElements).map(abridgedReport),
        complete: true,
        last,
      });
    }
    for (const { uid } of all) this.#owed.add(uid);
    this.#saidNetworks = JSON.stringify(host.network);
  }

  #flushSoon(): void {
    this.#flush ??= this.#ports.clock.after(fixedTimes.link.coalescing, () => this.#flushReports());
  }

  #flushReports(): void {
    this.#flush = undefined;
    this.#adaptShare();
    const changed = [...this.#dirty];
    this.#dirty.clear();
    for (const uid of changed) this.#report(uid);
    if (this.#epoch === undefined) return; // The operator accepts only a hello before its welcome
    const room = Math.max(0, reportsAtOnce - this.#channel.statesWaiting);
    for (const uid of [...this.#owed].slice(0, room)) this.#report(uid);
    if (this.#owed.size > 0) this.#flushSoon();
  }

  /** More VMs leave less room for each report: complete reports are then sent again, cut to the new size. */
  #adaptShare(): void {
    const { supervisor } = this.#ports;
    const share = reportShare(supervisor.count);
    if (share < this.#share) for (const uid of supervisor.uids()) this.#owed.add(uid);
    this.#share = share;
  }

  /** Log text alone is no reason for a report once the status has the first lines. */
  #report(uid: string): void {
    const isOwed = this.#owed.delete(uid);
    const observed = this.#ports.supervisor.observe(uid);
    if (observed === undefined) return;
    const said = sha256Hex(JSON.stringify({ ...observed, guestLog: observed.guestLog.head }));
    if (!isOwed && this.#said.get(uid) === said) return;
    this.#said.set(uid, said);
    this.#channel.sendLatest(uid, { type: 'observed', virtualMachine: fittedReport(observed, this.#share) });
  }

  // --- what shall be --------------------------------------------------------------------------------------------------

  #receive(message: OperatorMessage): void {
    switch (message.type) {
      case 'welcome':
        this.#welcome(message);
        break;
      case 'policy':
        if (sha256Hex(message.policy) === message.sha256)
          this.#policies.set(message.sha256, message.policy, message.policy.length);
        else this.#ports.logger.error({ sha256: message.sha256 }, 'a policy does not match its digest');
        break;
      case 'streamClose':
      case 'streamData':
      case 'streamEnd':
      case 'streamCredit':
      case 'streamReceipt':
        this.#streams.receive(message);
        break;
      default:
        this.#command(message);
    }
  }

  /** An epoch holds for the whole session. An operator that takes another epoch opens another session. */
  #welcome(welcome: Welcome): void {
    const { epoch } = welcome;
    if (this.#epoch !== undefined) {
      this.#ports.logger.warn({ epoch, expected: this.#epoch }, 'ignored a second welcome');
      return;
    }
    if (!this.#ports.epochs.admit(this, epoch)) {
      this.close(closeCodes.replaced, `a session with a newer epoch than ${epoch} is open`);
      return;
    }
    this.#epoch = epoch;
    this.#channel.setHeartbeat(welcome.heartbeatSeconds);
    this.#sendsBinary = welcome.streamEncodings?.includes(binaryStreams) === true;
    this.#understandsNetworks = welcome.capabilities?.includes(networksCapability) === true;
    this.#flushSoon();
    this.networksChanged();
    this.#resolveWelcomed(welcome);
  }

  /** A command with another epoch comes from an operator that is no longer in charge of this host (design §6). */
  #command(message: Command): void {
    const { epochs, logger, supervisor } = this.#ports;
    // A stream changes nothing on the host: one that was opened shortly before a renewal is served all the same.
    if (message.epoch !== this.#epoch || !(epochs.obeys(this) || isStreamOpening(message))) {
      logger.warn(
        { type: message.type, epoch: message.epoch, expected: this.#epoch },
        'ignored a command of another epoch',
      );
      return;
    }
    switch (message.type) {
      case 'desired':
        for (const element of message.virtualMachines) this.#assign(element);
        break;
      case 'assign':
        this.#assign(message.virtualMachine);
        break;
      case 'intent':
        this.#intend(message.virtualMachine);
        break;
      case 'release':
        supervisor.loggerOf(message).info('release');
        supervisor.release(message.uid);
        break;
      default:
        this.#streams.open(message);
    }
  }

  #assign(element: Element): void {
    const { supervisor } = this.#ports;
    const parsed = parseAssignment(element);
    const whole = parsed.ok ? this.#withPolicy(parsed.value) : parsed;
    // The options are bad, but the intent can be carried out for a VM that this agent has.
    if (!whole.ok && supervisor.machine(element.uid) !== undefined && parseIntent(element).ok) this.#intend(element);
    this.#obey(element, whole, (assignment) => supervisor.assign(assignment));
  }

  #intend(element: Element): void {
    this.#obey(element, parseIntent(element), (intent) => this.#ports.supervisor.intend(intent));
  }

  #obey<T>(element: Element, parsed: Parsed<T>, obey: (told: T) => Promise<void>): void {
    const { supervisor } = this.#ports;
    if (!parsed.ok) {
      const { failure } = parsed;
      supervisor
        .loggerOf(element)
        .error({ reason: failure.reason, error: failure.message }, 'an assignment was refused');
      supervisor.refuse(failure, typeof element.generation === 'number' ? element.generation : undefined);
      return;
    }
    obey(parsed.value).catch((error: unknown) =>
      supervisor.loggerOf(element).error({ error: messageOf(error) }, 'assignment failed'),
    );
  }

  /** Inserts the policy, which travelled separately. The result must match the operator's digest exactly. */
  #withPolicy(assignment: Assignment): Parsed<Assignment> {
    const { uid, policySHA256 } = assignment;
    const policy = policySHA256 === undefined ? undefined : this.#policies.get(policySHA256);
    const options = policy === undefined ? assignment.options : { ...assignment.options, SecurityPolicy: policy };
    if (optionsDigest(options) === assignment.optionsDigest) {
      return { ok: true, value: { ...assignment, options } };
    }
    const message = 'the options do not have the digest that they came with';
    return { ok: false, failure: { uid, reason: 'ProtocolError', message } };
  }
}
