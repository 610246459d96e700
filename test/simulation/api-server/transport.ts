// The way of one process to the simulated API server.
import { connectionError, failed, type Outcome, succeeded } from '../../../operator/kubernetes/api-error.ts';
import type { Answer, ApiTransport, Exchange, Message, OpenedAnswer } from '../../../operator/kubernetes/transport.ts';
import { delay } from '../../../runtime/clock.ts';
import type { Process } from '../process.ts';
import { refusalAnswer } from './answers.ts';
import type { Faults } from './faults.ts';
import {
  faultsOfExchange,
  faultsOfWatch,
  type RequestFault,
  type RequestFaultName,
  requestFaults,
} from './request-faults.ts';

/** The server's side of the network. */
export interface Server {
  readonly isDown: boolean;
  /** Counts the starts of the server. */
  readonly incarnation: number;
  /** Set while a request takes effect long after it was sent. */
  isServingLate: boolean;
  isCutOff(process: Process): boolean;
  answer(request: Message, process: Process): Answer;
  open(request: Message, process: Process): OpenedAnswer;
  /** Somebody changes the object that the request is about. Returns whether there was one. */
  touch(request: Message): boolean;
}

export interface TransportOptions {
  readonly process: Process;
  readonly server: Server;
  readonly faults: Faults;
}

const milliseconds = { waiting: 10_000, slow: 8_000, late: 20_000 } as const;

/** `PATCH linuxutilityvms/status`. */
function operationOf({ method, path }: Message): string {
  const plain = path.split('?', 1)[0] ?? '';
  const plural = /\/(?:v1|v1alpha1)(?:\/namespaces\/[^/]+)?\/([a-z]+)(?:\/[^/]+)?(\/status)?$/.exec(plain);
  return `${method} ${plural === null ? plain : `${plural[1]}${plural[2] ?? ''}`}`;
}

/** A request on its way. `T` is the kind of its answer. */
interface Journey<T extends Answer> {
  readonly request: Message;
  readonly fault: RequestFaultName | undefined;
  readonly maySend: () => boolean;
  readonly serve: () => T;
}

export class SimulatedTransport implements ApiTransport {
  readonly #options: TransportOptions;
  readonly #source: string;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#source = `api: ${options.process.name}`;
  }

  exchange(request: Exchange): Promise<Outcome<Answer>> {
    const { process, server, faults } = this.#options;
    if (!process.mayAct()) return new Promise(() => {});
    const fault = faults.first(faultsOfExchange, process.name);
    const serve = () => server.answer(request, process);
    return this.#untilAborted({ request, fault, maySend: request.maySend, serve });
  }

  open(request: Message): Promise<Outcome<OpenedAnswer>> {
    const { process, server, faults } = this.#options;
    if (!process.mayAct()) return new Promise(() => {});
    const fault = faults.first(faultsOfWatch, process.name);
    const serve = () => server.open(request, process);
    return this.#untilAborted({ request, fault, maySend: () => true, serve });
  }

  /** A request that is given up settles at once. What was sent takes its course. */
  #untilAborted<T extends Answer>(journey: Journey<T>): Promise<Outcome<T | Answer>> {
    const { signal } = journey.request;
    if (signal === undefined) return this.#carry(journey);
    if (signal.aborted) return Promise.resolve(givenUp());
    return new Promise((resolve, reject) => {
      const onAbort = () => resolve(givenUp());
      signal.addEventListener('abort', onAbort, { once: true });
      this.#carry(journey).then((outcome) => {
        signal.removeEventListener('abort', onAbort);
        resolve(outcome);
      }, reject);
    });
  }

  async #carry<T extends Answer>(journey: Journey<T>): Promise<Outcome<T | Answer>> {
    const { process, server } = this.#options;
    const { signal, idleMilliseconds } = journey.request;
    const { world } = process;
    await this.#waitForConnection();
    if (signal?.aborted === true) return givenUp();
    if (!journey.maySend()) return failed(connectionError('Fenced', 'another replica may be leading'));
    const sentAt = world.elapsed;
    const { incarnation } = server;
    const outcome = await process.call(operationOf(journey.request), this.#source, this.#latency(), () =>
      this.#arrive(journey),
    );
    if (outcome !== undefined && !server.isCutOff(process)) {
      return server.incarnation === incarnation ? outcome : broken();
    }
    await delay(process.clock, Math.max(0, idleMilliseconds - (world.elapsed - sentAt)));
    return failed(connectionError('ConnectionFailed', 'Headers Timeout Error'));
  }

  async #waitForConnection(): Promise<void> {
    const { process, faults } = this.#options;
    if (!faults.happens('request waits', process.name)) return;
    faults.count('request waits');
    const pause = milliseconds.waiting * faults.chanceOf('request waits', process.name).number();
    await delay(process.clock, pause);
  }

  /** Of one direction. */
  #latency(): () => number {
    const { process, faults } = this.#options;
    const usual = () => faults.latency(process.name);
    if (!faults.happens('request slow', process.name)) return usual;
    faults.count('request slow');
    const chance = faults.chanceOf('request slow', process.name);
    return () => usual() + (milliseconds.slow / 2) * chance.number();
  }

  /** Undefined: no answer will come. */
  #arrive<T extends Answer>({ request, fault, serve }: Journey<T>): Outcome<T | Answer> | undefined {
    const { process, server, faults } = this.#options;
    if (server.isCutOff(process)) return undefined;
    if (server.isDown) return failed(connectionError('ConnectionFailed', 'connect ECONNREFUSED'));
    if (fault !== undefined) return this.#suffer(request, fault, serve);
    const isChange = request.method === 'PUT' || request.method === 'PATCH';
    if (isChange && faults.happens('foreign write', process.name) && server.touch(request)) {
      faults.count('foreign write');
    }
    return succeeded(serve());
  }

  #suffer(request: Message, name: RequestFaultName, serve: () => Answer): Outcome<Answer> | undefined {
    const { faults } = this.#options;
    faults.count(name);
    const { effect, answer, retryAfterSeconds }: RequestFault = requestFaults[name];
    if (request.method !== 'GET') this.#affect(effect, name, serve);
    if (answer === 'None') return undefined;
    return answer === 'Broken' ? broken() : succeeded(refusalAnswer(answer, retryAfterSeconds));
  }

  #affect(effect: RequestFault['effect'], name: RequestFaultName, serve: () => Answer): void {
    const { process, faults } = this.#options;
    const chance = faults.chanceOf(name, process.name);
    if (effect === 'Always' || (effect === 'Perhaps' && chance.happens(0.5))) serve();
    if (effect === 'Later') this.#serveLater(milliseconds.late * chance.number(), serve);
  }

  /** Also when the process has died meanwhile: the network delivers what was sent. */
  #serveLater(pause: number, serve: () => Answer): void {
    const { process, server } = this.#options;
    const { incarnation } = server;
    process.world.after(pause, this.#source, () => {
      if (server.incarnation !== incarnation || server.isCutOff(process)) return;
      server.isServingLate = true;
      serve();
      server.isServingLate = false;
    });
  }
}

function givenUp<T>(): Outcome<T> {
  return failed(connectionError('Aborted', 'the request was given up'));
}

function broken<T>(): Outcome<T> {
  return failed(connectionError('ConnectionFailed', 'other side closed'));
}
