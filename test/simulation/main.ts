// `npm run simulate`: runs of the whole system from seeds, with all that goes wrong in them.
//
//   npm run simulate -- --seed 7 --trace      one seed, with its timeline
//   npm run simulate -- --seeds 5000          seeds 1 to 5000 on all processors
//   npm run simulate -- --time 10m            as many as there is time for
//   npm run simulate -- --seeds 50 --twice    each seed in two processes, which have to agree on every event
import { type ChildProcess, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { messageOf } from '../../runtime/error-text.ts';
import { unreached } from './coverage.ts';
import { shrink } from './shrink.ts';
import { type Run, simulate } from './simulation.ts';
import { forbidStrays } from './strays.ts';

const { values: flags } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    time: { type: 'string' },
    trace: { type: 'boolean', default: false },
    logs: { type: 'boolean', default: false },
    without: { type: 'string', multiple: true, default: [] },
    shrink: { type: 'boolean', default: false },
    stop: { type: 'boolean', default: false },
    twice: { type: 'boolean', default: false },
    worker: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

const usage = `Usage: npm run simulate -- [options]

  --seed N        run one seed
  --seeds N       run N seeds, beginning with --from (default 1)
  --time 10m      run as many seeds as there is time for (s, m, h)
  --trace         print every event of the seed
  --logs          with --trace: also the log lines of operators and agents
  --without KIND  leave out a kind of fault or step (several times)
  --stop          end with the first seed that fails
  --twice         run each seed in two processes, and compare all of their events and log lines
  --shrink        make the history of a failing seed as short as possible
`;

const result = z.object({
  seed: z.int(),
  failure: z.string().optional(),
  counts: z.record(z.string(), z.number()),
  reached: z.array(z.string()),
  /** Of all events and log lines, with --twice. */
  digest: z.string().optional(),
  events: z.number(),
  elapsed: z.number(),
  hosts: z.number(),
  replicas: z.number(),
  machines: z.number(),
});
type Result = z.infer<typeof result>;

async function showSeed(seed: number): Promise<void> {
  const strays: Error[] = [];
  forbidStrays((error) => strays.push(error));
  const without = new Set(flags.without);
  const trace = flags.trace ? (line: string) => void process.stdout.write(`${line}\n`) : undefined;
  const run = await simulate({ seed, without, logs: flags.logs, ...(trace && { trace }) });
  const counts = [...run.counts].sort(([one], [other]) => one.localeCompare(other));
  process.stdout.write(`${counts.map(([kind, count]) => `${String(count).padStart(6)}  ${kind}`).join('\n')}\n`);
  process.stdout.write(
    `seed ${seed}: ${run.profile.hosts} hosts, ${run.profile.replicas} replicas, ${run.profile.machines} VMs, ` +
      `${Math.round(run.elapsed / 60_000)} simulated minutes, ${run.events} events\n`,
  );
  for (const stray of strays) process.stdout.write(`${stray.stack}\n`);
  if (run.failure === undefined && strays.length === 0) return;
  process.stdout.write(`${run.failure?.stack ?? ''}\n`);
  process.exitCode = 1;
  if (flags.shrink) await showShortest(seed, run);
}

async function showShortest(seed: number, run: Run): Promise<void> {
  const { run: shortest, skipped, without } = await shrink(seed, run);
  const steps = run.steps.filter((step, index) => !skipped.has(index) && !without.has(step.kind));
  process.stdout.write(`\nThe shortest history found, without ${[...without].join(', ')}:\n`);
  for (const { at, text } of steps.toSorted((one, other) => one.at - other.at)) {
    process.stdout.write(`  ${(at / 1000).toFixed(3).padStart(9)} s  ${text}\n`);
  }
  process.stdout.write(`${shortest.failure?.message}\n`);
}

/** So many seeds have to come to everything (`coverage.ts`). */
const seedsOfCoverage = 5_000;

/** Node keeps signals of processes that have died, with all that hears them. A new worker begins without. */
const seedsOfWorker = 40;

async function runMany(): Promise<void> {
  const digests = await runSeeds();
  if (!flags.twice) return;
  const others = await runSeeds();
  const different = [...digests].filter(([seed, digest]) => others.has(seed) && others.get(seed) !== digest);
  for (const [seed] of different) process.stdout.write(`seed ${seed} gave other events in another process\n`);
  process.stdout.write(
    `${others.size - different.length} seeds gave the same events twice, ${different.length} others\n`,
  );
  if (different.length > 0) process.exitCode = 1;
}

/** Returns the digest of each seed's events. */
async function runSeeds(): Promise<ReadonlyMap<number, string | undefined>> {
  const from = numberOf('from', flags.from);
  const until = flags.seeds === undefined ? Number.POSITIVE_INFINITY : from + numberOf('seeds', flags.seeds);
  const deadline = flags.time === undefined ? Number.POSITIVE_INFINITY : Date.now() + durationOf(flags.time);
  const summary = new Summary();
  let next = from;
  const workers = Array.from({ length: availableParallelism() }, async () => {
    let worker = startWorker();
    let asked = 0;
    for (let seed = next; seed < until && Date.now() < deadline && !summary.mayStop; seed = next) {
      next += 1;
      if (asked === seedsOfWorker) {
        worker.disconnect();
        worker = startWorker();
        asked = 0;
      }
      asked += 1;
      summary.add(await ask(worker, seed));
    }
    worker.disconnect();
  });
  await Promise.all(workers);
  summary.print();
  return summary.digests;
}

function startWorker(): ChildProcess {
  return fork(fileURLToPath(import.meta.url), ['--worker', ...(flags.twice ? ['--twice'] : [])], {
    execArgv: process.execArgv,
  });
}

/** Rejects when the worker ends before it has answered. */
async function ask(worker: ChildProcess, seed: number): Promise<Result> {
  const answered = new AbortController();
  const { signal } = answered;
  const ended = once(worker, 'exit', { signal }).then(([code]) => {
    throw new Error(`seed ${seed} ended its process with ${code}`);
  });
  worker.send(seed);
  try {
    const [answer] = await Promise.race([once(worker, 'message', { signal }), ended]);
    return result.parse(answer);
  } finally {
    ended.catch(() => undefined);
    answered.abort();
  }
}

function serve(): void {
  let stray: Error | undefined;
  forbidStrays((error) => {
    stray ??= error;
  });
  // Stacks of the many errors that are expected take a lot of time.
  Error.stackTraceLimit = 0;
  process.on('message', (seed: number) => {
    const digest = createHash('sha256');
    const traced = { logs: true, trace: (line: string) => void digest.update(`${line}\n`) };
    void simulate({ seed, ...(flags.twice && traced) }).then(
      ({ counts, elapsed, events, failure = stray, profile, reached }) => {
        const { hosts, machines, replicas } = profile;
        process.send?.({
          ...{ seed, events, elapsed, hosts, machines, replicas },
          counts: Object.fromEntries(counts),
          reached: [...reached],
          ...(failure && { failure: failure.message }),
          ...(flags.twice && { digest: digest.digest('hex') }),
        });
      },
    );
  });
}

class Summary {
  readonly #begun = Date.now();
  readonly #results: Result[] = [];
  readonly #failed: Result[] = [];
  readonly #reached = new Set<string>();

  get digests(): ReadonlyMap<number, string | undefined> {
    return new Map(this.#results.map(({ digest, seed }) => [seed, digest]));
  }

  /** Whether --stop applies. */
  get mayStop(): boolean {
    return flags.stop && this.#failed.length > 0;
  }

  add(one: Result): void {
    this.#results.push(one);
    for (const each of one.reached) this.#reached.add(each);
    if (one.failure !== undefined) {
      this.#failed.push(one);
      process.stdout.write(`seed ${one.seed}: ${one.failure.slice(0, 600)}\n`);
    }
    if (this.#results.length % 100 === 0) this.#progress();
  }

  print(): void {
    const total = new Map<string, { count: number; seeds: number }>();
    for (const { counts } of this.#results) {
      for (const [kind, count] of Object.entries(counts)) {
        const known = total.get(kind) ?? { count: 0, seeds: 0 };
        total.set(kind, { count: known.count + count, seeds: known.seeds + 1 });
      }
    }
    for (const [kind, { count, seeds }] of [...total].sort(([one], [other]) => one.localeCompare(other))) {
      process.stdout.write(`${String(count).padStart(9)} in ${String(seeds).padStart(6)} seeds  ${kind}\n`);
    }
    const median = (of: (one: Result) => number) =>
      this.#results.map(of).sort((a, b) => a - b)[this.#results.length >> 1];
    process.stdout.write(
      `median seed: ${median(({ hosts }) => hosts)} hosts, ${median(({ replicas }) => replicas)} replicas, ` +
        `${median(({ machines }) => machines)} VMs, ${Math.round((median(({ elapsed }) => elapsed) ?? 0) / 60_000)} simulated minutes, ` +
        `${median(({ events }) => events)} events\n`,
    );
    this.#progress();
    const missed = unreached(this.#reached);
    for (const each of missed) process.stdout.write(`not reached: ${each}\n`);
    const isIncomplete = this.#results.length >= seedsOfCoverage && missed.length > 0;
    if (this.#failed.length > 0 || isIncomplete) process.exitCode = 1;
  }

  #progress(): void {
    const seconds = Math.round((Date.now() - this.#begun) / 1000);
    process.stdout.write(`${this.#results.length} seeds in ${seconds} s, ${this.#failed.length} failed\n`);
  }
}

function numberOf(flag: string, text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new Error(`--${flag} ${text}: write a whole number from 1`);
  return number;
}

function durationOf(text: string): number {
  const [, number, unit] = /^(\d+)(s|m|h)$/.exec(text) ?? [];
  if (number === undefined) throw new Error(`--time ${text}: write 30s, 10m or 1h`);
  return Number(number) * (unit === 'h' ? 3_600_000 : unit === 'm' ? 60_000 : 1_000);
}

async function main(): Promise<void> {
  if (flags.worker) return serve();
  if (flags.seed !== undefined) return await showSeed(numberOf('seed', flags.seed));
  if (!flags.help && (flags.seeds !== undefined || flags.time !== undefined)) return await runMany();
  process.stdout.write(usage);
}

await main().catch((error: unknown) => {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exit(2);
});
