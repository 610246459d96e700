// The guest of a life: dials what the original's host accepted, says what it said then, and answers as it answered. What the
// original's host never asked for is answered as by an ordinary guest.
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { encodeFrame, responseType } from '../../../agent/guest/bridge/frames.ts';
import { lookCommand } from '../../../agent/guest/bridge/mount-look.ts';
import { guestPorts } from '../../../agent/node/guest-sockets.ts';
import type { GuestConnection } from './guest-connection.ts';
import type { GuestNetwork, Request } from './guest-network.ts';
import type { GuestCall, GuestFrame, HostFrame, Life, Step } from './life.ts';

/** Of processes that the original's host did not start. */
const firstProcess = 1000;
const ordinaryAnswer = { Result: 0, ActivityId: '00000000-0000-0000-0000-000000000000' };
const ordinaryStacks = 'goroutine 1 [running]:\nmain.main()\n';
const answering = ' answer';
/** Of the script that looks (agent/guest/mount-look.ts). */
const mountedExitCode = 40;

interface Arrived {
  readonly request: Request;
  readonly connection: GuestConnection;
  isAnswered: boolean;
}

interface Recorded {
  readonly key: string;
  readonly id: number;
  readonly place: number;
  /** Indices of the steps that answer it. */
  readonly answers: readonly number[];
}

export class RecordedGuest {
  readonly #life: Life;
  readonly #network: GuestNetwork;
  readonly #recorded: readonly Recorded[];
  readonly #arrived = new Map<string, Arrived[]>();
  readonly #released = new Map<string, string>();
  readonly #connections: GuestConnection[] = [];
  /** Where disks are mounted. */
  readonly #mounts = new Set<string>();
  /** Of processes that have ended. */
  readonly #exitCodes = new Map<number, number>();
  #lastProcess = firstProcess;
  /** How far the life has been played. */
  #position = 0;

  constructor(life: Life, network: GuestNetwork) {
    this.#life = life;
    this.#network = network;
    this.#recorded = recordedRequests(life.steps);
    network.onRequest = (request, connection) => this.#asked(request, connection);
  }

  /** The step that is played. */
  at(position: number): void {
    this.#position = position;
  }

  dial(port: number): void {
    const connection = this.#network.dial(port);
    if (connection !== undefined) this.#connections.push(connection);
  }

  act({ args, call }: GuestCall): void {
    const port = args.port ?? guestPorts.bridge;
    if (call === 'dials') {
      this.dial(port);
      return;
    }
    const connection = this.#connections.findLast((each) => each.port === port && !each.hasEnded);
    if (connection === undefined) return;
    if (call === 'sends') this.#network.write(connection, Buffer.from(args.text ?? ''));
    else if (call === 'sendsBytes') this.#network.write(connection, Buffer.from(args.hex ?? '', 'hex'));
    else this.#end(connection, call === 'resets');
  }

  /** Answers the request that the original's host made then, as soon as this host makes it; else just sends the frame. */
  say(step: GuestFrame): void {
    const place = this.#life.steps.indexOf(step);
    const asked = this.#recorded.find(({ answers }) => answers.includes(place));
    if (asked === undefined || asked.answers[0] !== place) {
      this.#sendAgain(step, asked);
      return;
    }
    const slot = slotOf(asked.key, asked.place);
    this.#released.set(slot, step.payload);
    const arrived = this.#arrived.get(asked.key)?.[asked.place];
    if (arrived !== undefined) this.#answer(arrived, step.payload);
  }

  /** The VM is gone: what it had written by then arrives, and all its connections end. */
  vanish(): void {
    for (const connection of this.#connections) {
      if (connection.hasEnded) continue;
      for (const step of this.#life.steps.slice(this.#position)) {
        const isText = step.by === 'guest' && 'call' in step && step.call === 'sends';
        if (isText && step.args.port === connection.port) {
          this.#network.write(connection, Buffer.from(step.args.text ?? ''));
        }
      }
      this.#end(connection, false);
    }
  }

  #end(connection: GuestConnection, isReset: boolean): void {
    connection.hasEnded = true;
    connection.isReset = isReset;
    this.#network.wake();
  }

  #sendAgain({ id, payload, type }: GuestFrame, asked: Recorded | undefined): void {
    const bridge = this.#connections.findLast(({ hasEnded, port }) => port === guestPorts.bridge && !hasEnded);
    const own = asked && this.#arrived.get(asked.key)?.[asked.place];
    const base = type.startsWith('0x3') ? 0n : this.#network.firstId;
    const named = own === undefined ? base + BigInt(id) : own.request.id;
    if (bridge !== undefined) this.#network.write(bridge, encodeFrame(Number(type), named, payload));
  }

  #asked(request: Request, connection: GuestConnection): void {
    const key = keyOf(request.name, request.payload);
    const all = this.#arrived.get(key) ?? [];
    const arrived: Arrived = { request, connection, isAnswered: false };
    this.#arrived.set(key, [...all, arrived]);
    const isRecorded = this.#recorded.some((each) => each.key === key && each.place === all.length);
    const released = this.#released.get(slotOf(key, all.length));
    if (released !== undefined) this.#answer(arrived, released);
    else if (!isRecorded) this.#answerOrdinarily(arrived);
  }

  #answerOrdinarily(arrived: Arrived): void {
    const { name, payload } = arrived.request;
    const answer = (members: object) => this.#answer(arrived, JSON.stringify({ ...ordinaryAnswer, ...members }));
    if (name === 'NegotiateProtocol') this.#answer(arrived, this.#negotiated);
    else if (name === 'ExecuteProcess') answer({ ProcessId: this.#runOrdinarily(payload) });
    else if (name === 'WaitForProcess') answer({ ExitCode: this.#exitCodes.get(processIn(payload)) ?? 0 });
    else if (name === 'DumpStacks') answer({ GuestStacks: ordinaryStacks });
    else answer({});
  }

  /** A process that says a little and ends. The streams are dialled before the guest answers. */
  #runOrdinarily(payload: string): number {
    const { command, ports } = commandIn(payload);
    for (const port of [ports.StdIn, ports.StdOut, ports.StdErr]) if (port !== undefined) this.dial(port);
    for (const [port, text] of [[ports.StdOut, 'hello\n'] as const, [ports.StdErr, 'oops\n'] as const]) {
      if (port === undefined) continue;
      this.act({ by: 'guest', call: 'sends', args: { port, text } });
      this.act({ by: 'guest', call: 'ends', args: { port } });
    }
    this.#lastProcess += 1;
    const path = lookedAt(command);
    this.#exitCodes.set(this.#lastProcess, path !== undefined && this.#mounts.has(path) ? mountedExitCode : 0);
    return this.#lastProcess;
  }

  /** As this guest answers it. */
  get #negotiated(): string {
    const [first] = this.#life.steps.filter(
      (step) => step.by === 'guest' && 'frame' in step && step.frame === `NegotiateProtocol${answering}`,
    );
    return first !== undefined && 'payload' in first
      ? first.payload
      : JSON.stringify({ ...ordinaryAnswer, Version: 4 });
  }

  #noteMount(request: string, answer: string): void {
    const { RequestType, ResourceType, Settings } = modifyRequest.safeParse(jsonOf(request)).data?.Request ?? {};
    const path = ResourceType === 'MappedVirtualDisk' ? Settings?.MountPath : undefined;
    if (path === undefined || hasRefused(answer)) return;
    if (RequestType === 'Add') this.#mounts.add(path);
    else this.#mounts.delete(path);
  }

  #answer(arrived: Arrived, payload: string): void {
    if (arrived.isAnswered) return;
    arrived.isAnswered = true;
    const { connection, request } = arrived;
    this.#noteMount(request.payload, payload);
    this.#network.write(connection, encodeFrame(responseType(request.type), request.id, payload));
  }
}

function recordedRequests(steps: readonly Step[]): readonly Recorded[] {
  const counts = new Map<string, number>();
  const requests = steps.filter((step): step is HostFrame => step.by === 'host' && 'frame' in step);
  return requests.map(({ frame, id, payload }) => {
    const key = keyOf(frame, payload);
    const place = counts.get(key) ?? 0;
    counts.set(key, place + 1);
    const answers = steps.flatMap((step, index) => {
      const answersIt = step.by === 'guest' && 'frame' in step && step.frame === frame + answering && step.id === id;
      return answersIt ? [index] : [];
    });
    return { key, id, place, answers };
  });
}

function slotOf(key: string, place: number): string {
  return `${place} ${key}`;
}

const modifyRequest = z.object({
  Request: z.object({
    RequestType: z.string().default(''),
    ResourceType: z.string().default(''),
    Settings: z.looseObject({ MountPath: z.string().optional() }).optional(),
  }),
});
const waitRequest = z.object({ ProcessId: z.int() });
const port = z.int().optional();
const executeRequest = z.object({
  Settings: z.object({
    ProcessParameters: z.string(),
    VsockStdioRelaySettings: z.object({ StdIn: port, StdOut: port, StdErr: port }).default({}),
  }),
});
const parameters = z.object({ CommandArgs: z.array(z.string()).default([]) });

/** Requests that stand for each other in two hosts. A host starts processes without streams for itself. */
export function keyOf(frame: string, payload: string): string {
  if (frame === 'ModifySettings') {
    const parsed = modifyRequest.safeParse(jsonOf(payload));
    const { RequestType = '', ResourceType = '' } = parsed.data?.Request ?? {};
    return `${frame} ${RequestType} ${ResourceType}`;
  }
  if (frame === 'WaitForProcess') return `${frame} ${processIn(payload)}`;
  const isWithoutStreams = frame === 'ExecuteProcess' && Object.keys(commandIn(payload).ports).length === 0;
  return isWithoutStreams ? `${frame} without streams` : frame;
}

function processIn(payload: string): number {
  return waitRequest.safeParse(jsonOf(payload)).data?.ProcessId ?? 0;
}

/** What an ExecuteProcess asks for. */
export function commandIn(payload: string) {
  const settings = executeRequest.safeParse(jsonOf(payload)).data?.Settings;
  const { CommandArgs: command = [] } = parameters.safeParse(jsonOf(settings?.ProcessParameters ?? '')).data ?? {};
  return { command, ports: settings?.VsockStdioRelaySettings ?? {} };
}

/** The path that the agent wants to know the mounts of, when that is what the command does. */
export function lookedAt(command: readonly string[]): string | undefined {
  const path = command.at(-2) ?? '';
  return command.length > 2 && isDeepStrictEqual(command, lookCommand(path).args) ? path : undefined;
}

export function hasRefused(answer: string): boolean {
  const parsed = z.object({ Result: z.int() }).safeParse(jsonOf(answer));
  return parsed.success && parsed.data.Result !== 0;
}

export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
