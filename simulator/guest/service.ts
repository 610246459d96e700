// The guest's half of the bridge (hcs-runtime E.1, E.4, E.6, E.7). It connects to its host indefinitely and serves
// requests concurrently. An answer that becomes ready after a reconnection is sent over the new connection, with its
// old id.
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import {
  encodeFrame,
  encodeInnerJson,
  type Frame,
  FrameReader,
  responseType,
} from '../../agent/guest/bridge/frames.ts';
import { nullId, protocolVersion, requests } from '../../agent/guest/bridge/messages.ts';
import { type Clock, delay } from '../../runtime/clock.ts';
import type { Verdict } from '../wire/script.ts';
import { GuestFailure, guestResults } from './failure.ts';
import { executeSettings, type GuestProcesses } from './processes.ts';

/** The real guest has no limit; the simulated one needs some bound. */
const maxRequestBytes = 16 << 20;
/** Most answers that wait for the next connection. Others are lost. */
const maxLateAnswers = 16;

const base = z.object({ ContainerId: z.string().default(''), ActivityId: z.string().default(nullId) });
const negotiateRequest = base.extend({ MinimumVersion: z.int(), MaximumVersion: z.int() });
const modifyRequest = base.extend({
  Request: z.object({
    RequestType: z.string().default('Add'),
    ResourceType: z.string(),
    Settings: z.record(z.string(), z.unknown()).default({}),
  }),
});
const executeRequest = base.extend({ Settings: executeSettings });
const waitRequest = base.extend({ ProcessId: z.int().min(0).max(0xffff_ffff) });
export type GuestModifyRequest = z.infer<typeof modifyRequest>['Request'];

export interface GuestServiceOptions {
  readonly dial: () => Promise<Duplex | 'refused'>;
  /** Resolves at once unless the VM is paused. */
  readonly awake: () => Promise<void>;
  readonly redialMilliseconds: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly visit: (step: 'bridge' | 'negotiate' | 'guestModify' | 'guestExec' | 'powerOff') => Promise<Verdict>;
  /** Returns the text of the refusal, if the guest refuses. `failure` is why the guest cannot carry out the request. */
  readonly modify: (request: GuestModifyRequest, failure: string | undefined) => Promise<string | undefined>;
  readonly processes: GuestProcesses;
  readonly powerOff: () => void;
  readonly onNegotiated: () => void;
}

type Answer = Readonly<Record<string, unknown>> | 'none';

interface Connection {
  readonly socket: Duplex;
  isNegotiated: boolean;
}

export class GuestService {
  readonly #options: GuestServiceOptions;
  readonly #lateAnswers: Buffer[] = [];
  #connection: Connection | undefined;

  constructor(options: GuestServiceOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => this.dropConnection(), { once: true });
  }

  dropConnection(): void {
    this.#connection?.socket.destroy();
  }

  /** Runs until the guest ends. */
  async run(): Promise<void> {
    const { clock, dial, redialMilliseconds, signal, visit } = this.#options;
    while (!signal.aborted) {
      const verdict = await visit('bridge');
      const socket = verdict.kind === 'fail' ? 'refused' : await dial();
      if (socket !== 'refused') await this.#serve(socket);
      await delay(clock, redialMilliseconds, signal).catch(() => {});
    }
  }

  async #serve(socket: Duplex): Promise<void> {
    const connection = { socket, isNegotiated: false };
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    this.#connection = connection;
    if (this.#options.signal.aborted) socket.destroy();
    for (const frame of this.#lateAnswers.splice(0)) socket.write(frame);
    const reader = new FrameReader(maxRequestBytes);
    socket.on('end', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      reader.push(chunk);
      for (let read = reader.next(); read.kind !== 'incomplete'; read = reader.next()) {
        if (read.kind === 'badSize') {
          socket.destroy();
          return;
        }
        void this.#handle(connection, read.frame);
      }
    });
    await closed;
    this.#connection = undefined;
  }

  async #handle(connection: Connection, frame: Frame): Promise<void> {
    const { awake } = this.#options;
    const request = parseJson(frame.payload);
    const activity = base.safeParse(request).data?.ActivityId;
    const head = activity === undefined ? {} : { ActivityId: activity };
    try {
      await awake();
      const answer = await this.#answer(connection, frame.type, request, frame.payload.toString('utf8'));
      await awake();
      if (answer !== 'none') this.#send(frame, { Result: 0, ...head, ...answer });
    } catch (error) {
      if (!(error instanceof GuestFailure)) return;
      await awake();
      const Result = error.result | 0;
      const record = { Result, Message: error.message, ModuleName: 'gcs', FileName: '', Line: 0xffff_ffff };
      this.#send(frame, { Result, ...head, ErrorMessage: error.message, ErrorRecords: [record] });
    }
  }

  #answer(connection: Connection, type: number, request: unknown, text: string): Promise<Answer> {
    const isNegotiate = type === requests.negotiateProtocol.type;
    if (connection.isNegotiated === isNegotiate) return Promise.reject(notSupported(type));
    if (isNegotiate) return this.#negotiate(connection, read(negotiateRequest, request, text));
    if (type === requests.modifySettings.type) return this.#modify(read(modifyRequest, request, text));
    if (type === requests.dumpStacks.type)
      return Promise.resolve({ GuestStacks: 'goroutine 1 [running]:\nmain.main()\n' });
    if (type === requests.executeProcess.type) return this.#execute(read(executeRequest, request, text));
    if (type === requests.waitForProcess.type) return this.#wait(read(waitRequest, request, text));
    if (type === requests.getProperties.type) return Promise.reject(refuseProperties(read(base, request, text)));
    const isShutdown = type === requests.shutdownGraceful.type || type === requests.shutdownForced.type;
    return isShutdown ? this.#shutDown(read(base, request, text)) : Promise.reject(notSupported(type));
  }

  async #execute({ ContainerId, Settings }: z.infer<typeof executeRequest>): Promise<Answer> {
    if (ContainerId !== nullId) throw noSuchContainer();
    await this.#pass('guestExec');
    return { ProcessId: await this.#options.processes.execute(Settings) };
  }

  async #wait({ ContainerId, ProcessId }: z.infer<typeof waitRequest>): Promise<Answer> {
    if (ContainerId !== nullId) throw noSuchContainer();
    return { ExitCode: await this.#options.processes.wait(ProcessId) };
  }

  async #negotiate(connection: Connection, request: z.infer<typeof negotiateRequest>): Promise<Answer> {
    await this.#pass('negotiate');
    if (request.MaximumVersion < protocolVersion || request.MinimumVersion > protocolVersion) {
      throw new GuestFailure(guestResults.protocolRange, 'HRESULT: 0xc037010c');
    }
    connection.isNegotiated = true;
    this.#options.onNegotiated();
    return {
      Version: protocolVersion,
      Capabilities: {
        SupportedSchemaVersions: [{ Major: 2, Minor: 1 }],
        RuntimeOsType: 'Linux',
        GuestDefinedCapabilities: {
          NamespaceAddRequestSupported: true,
          SignalProcessSupported: true,
          DumpStacksSupported: true,
          DeleteContainerStateSupported: true,
        },
      },
    };
  }

  async #modify({ ContainerId, Request }: z.infer<typeof modifyRequest>): Promise<Answer> {
    const verdict = await this.#options.visit('guestModify');
    if (ContainerId !== nullId) throw noSuchContainer();
    const failure = verdict.kind === 'fail' ? verdict : undefined;
    const refusal = await this.#options.modify(Request, failure?.message);
    if (refusal !== undefined) throw new GuestFailure(failure?.hresult ?? guestResults.unspecified, refusal);
    return {};
  }

  /** The VM is off before it could answer (E.6). */
  async #shutDown({ ContainerId }: z.infer<typeof base>): Promise<Answer> {
    if (ContainerId !== nullId) throw noSuchContainer();
    await this.#pass('powerOff');
    this.#options.powerOff();
    return 'none';
  }

  async #pass(step: 'negotiate' | 'powerOff' | 'guestExec'): Promise<void> {
    const verdict = await this.#options.visit(step);
    if (verdict.kind !== 'fail') return;
    throw new GuestFailure(verdict.hresult ?? guestResults.unspecified, verdict.message);
  }

  #send(request: Frame, body: Readonly<Record<string, unknown>>): void {
    const frame = encodeFrame(responseType(request.type), request.id, encodeInnerJson(body));
    if (this.#connection !== undefined) this.#connection.socket.write(frame);
    else if (this.#lateAnswers.length < maxLateAnswers) this.#lateAnswers.push(frame);
  }
}

function noSuchContainer(): GuestFailure {
  return new GuestFailure(guestResults.noSuchContainer, 'HRESULT: 0xc037010e');
}

function refuseProperties({ ContainerId }: z.infer<typeof base>): GuestFailure {
  if (ContainerId !== nullId) return noSuchContainer();
  return new GuestFailure(guestResults.unspecified, 'getPropertiesV2 is not supported against the UVM');
}

function notSupported(type: number): GuestFailure {
  const text = `HRESULT 0x80004001: bridge: function not supported, header type: ${type}`;
  return new GuestFailure(guestResults.notSupported, text);
}

function read<T>(schema: z.ZodType<T>, request: unknown, text: string): T {
  const result = schema.safeParse(request);
  if (result.success) return result.data;
  throw new GuestFailure(guestResults.invalidJson, `failed to unmarshal JSON in message "${text}": HRESULT 0xc037010d`);
}

function parseJson(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch {
    return undefined;
  }
}
