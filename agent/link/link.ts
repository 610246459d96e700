// Keeps a session with the operator as long as the agent lives. Redials with full jitter, and renews each connection
// after about half an hour, so that new tokens, rebalancing and resync are exercised daily (design §7).
import type { Logger } from 'pino';
import { boundedFacts } from '../../protocol/bounded-facts.ts';
import type { ChannelClosed } from '../../protocol/channel.ts';
import { closeCodes, type LastExit } from '../../protocol/messages.ts';
import type { Socket } from '../../protocol/socket.ts';
import { type Clock, delay, type Random } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import type { LinkTimes } from '../bounds/timeouts.ts';
import { Epochs } from './epochs.ts';
import { OperatorSession, type SessionPorts } from './session.ts';

/** WebSocket close code of a connection that broke without a close frame. */
const lost = 1006;

export interface LinkPorts extends Omit<SessionPorts, 'host' | 'epochs'> {
  readonly random: Random;
  readonly times: LinkTimes;
  /** Opens a socket to the operator, authenticated with a freshly read token. */
  readonly dial: (signal: AbortSignal) => Promise<Socket>;
  readonly hostFacts: () => Promise<SessionPorts['host']>;
}

export class OperatorLink {
  readonly #ports: LinkPorts;
  readonly #logger: Logger;
  readonly #clock: Clock;
  /**
   * One session, and during a renewal the one before it. Each receives every report, because either may be the one that
   * remains.
   */
  readonly #sessions = new Set<OperatorSession>();
  readonly #epochs = new Epochs<OperatorSession>();

  constructor(ports: LinkPorts) {
    this.#ports = ports;
    this.#logger = ports.logger;
    this.#clock = ports.clock;
  }

  changed(uid: string): void {
    for (const session of this.#sessions) session.changed(uid);
  }

  networksChanged(): void {
    for (const session of this.#sessions) session.networksChanged();
  }

  removed(uid: string, lastExit?: LastExit): void {
    for (const session of this.#sessions) session.removed(uid, lastExit);
  }

  /** Number of open streams to this host. */
  get streams(): number {
    return [...this.#sessions].reduce((sum, session) => sum + session.streams, 0);
  }

  async run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      const begun = this.#clock.now();
      try {
        const end = await this.#serve(await this.#connect(signal), signal);
        failures = this.#failuresAfter(end, this.#clock.now() - begun, failures);
      } catch (error) {
        failures += 1;
        if (!signal.aborted) this.#logger.warn({ error: messageOf(error) }, 'no connection to the operator');
      }
      if (!signal.aborted) await delay(this.#clock, this.#retryDelay(failures), signal).catch(() => undefined);
    }
  }

  /** Serves one session after another as long as each can be renewed. Resolves when the last one ended. */
  async #serve(first: OperatorSession, signal: AbortSignal): Promise<ChannelClosed> {
    let session = first;
    for (;;) {
      const end = await Promise.race([session.closed, this.#renewalTime(signal)]);
      if (end !== undefined) {
        this.#logger.info({ code: end.code, reason: end.reason }, 'session with the operator ended');
        return end;
      }
      session = await this.#renew(session, signal);
    }
  }

  /**
   * Resolves when it is time for a renewal. Open streams delay it for up to a day, because a renewal ends them. Never
   * resolves when the signal aborts first.
   */
  async #renewalTime(signal: AbortSignal): Promise<undefined> {
    try {
      await delay(this.#clock, this.#jitteredRenewal(), signal);
      await this.#streamsEnd(() => this.streams, signal);
    } catch {
      return await new Promise(() => {});
    }
    return undefined;
  }

  /** Resolves when there are no streams any more, or when they have lasted as long as they may. */
  async #streamsEnd(streams: () => number, signal: AbortSignal): Promise<void> {
    // Counts the time that was waited, so that a stepped clock ends no stream.
    for (let waited = 0; streams() > 0 && waited < this.#ports.times.streams; ) waited += await this.#pause(signal);
  }

  async #pause(signal: AbortSignal): Promise<number> {
    const pause = this.#jitteredRenewal() / 30;
    await delay(this.#clock, pause, signal);
    return pause;
  }

  #jitteredRenewal(): number {
    const { random, times } = this.#ports;
    return times.renewal * (0.9 + 0.2 * random());
  }

  /** Opens the new session before closing the old one. If that fails, the old session continues. */
  async #renew(session: OperatorSession, signal: AbortSignal): Promise<OperatorSession> {
    const isOverdue = this.streams > 0;
    try {
      const next = await this.#connect(signal);
      if (isOverdue) session.close(closeCodes.replaced, 'renewed');
      else this.#leave(session, signal);
      return next;
    } catch (error) {
      this.#logger.warn(
        { error: messageOf(error) },
        'the connection could not be renewed: the agent keeps the old one',
      );
      return session;
    }
  }

  /**
   * Closes a session that another one has replaced. Users may have opened streams meanwhile, and others may be on the
   * way: the operator ends the session earlier when it knows of none.
   */
  #leave(session: OperatorSession, signal: AbortSignal): void {
    const over = AbortSignal.any([signal, aborted(session.closed)]);
    this.#pause(over)
      .then(() => this.#streamsEnd(() => session.streams, over))
      .then(() => session.close(closeCodes.replaced, 'renewed'))
      .catch(() => undefined);
  }

  async #connect(signal: AbortSignal): Promise<OperatorSession> {
    const facts = await this.#ports.hostFacts();
    const host = boundedFacts({ ...facts, network: this.#ports.networks() });
    const socket = await this.#ports.dial(signal);
    const session = new OperatorSession(socket, { ...this.#ports, host, epochs: this.#epochs });
    closeOnAbort(session, signal);
    this.#sessions.add(session);
    session.closed.then(() => this.#sessions.delete(session));
    const limit = new AbortController();
    const outcome = await Promise.race([
      session.welcomed,
      session.closed,
      delay(this.#clock, this.#ports.times.welcome, limit.signal).then(() => ({
        code: 1006,
        reason: 'no welcome in time',
      })),
    ]);
    limit.abort();
    if ('code' in outcome) {
      session.close(1002, outcome.reason);
      throw new Error(`the operator closed the session: ${outcome.reason} (${outcome.code})`);
    }
    this.#logger.info({ replica: outcome.replica, epoch: outcome.epoch }, 'session with the operator');
    return session;
  }

  #failuresAfter({ code }: ChannelClosed, lasted: number, before: number): number {
    // A replica that hands over says so: its successor is ready.
    if (code === closeCodes.shuttingDown || lasted >= this.#ports.times.healthy) return 0;
    // A lost session was not refused. The number of attempts before it says nothing about the next one.
    return 1 + (code === lost ? Math.min(before, 1) : before);
  }

  /** Full jitter (design §7). */
  #retryDelay(failures: number): number {
    const { firstRetry, lastRetry } = this.#ports.times;
    return this.#ports.random() * Math.min(lastRetry, firstRetry * 2 ** Math.min(failures, 16));
  }
}

/** Aborts when the promise resolves. */
function aborted(when: Promise<unknown>): AbortSignal {
  const controller = new AbortController();
  when.then(() => controller.abort());
  return controller.signal;
}

function closeOnAbort(session: OperatorSession, signal: AbortSignal): void {
  const onAbort = () => session.close(1000, 'the agent stops');
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  session.closed.then(() => signal.removeEventListener('abort', onAbort));
}
