// `npm run bench [-- name … --vms count --alone --csv file]`: measures the figures in docs/specification.md. With --csv it
// also adds a line for each figure to a file. `fleet` takes half an hour, so it runs only if it is named (fleet/sizes.ts
// has its flags).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { messageOf } from '../../runtime/error-text.ts';
import {
  benchFloods,
  memoryLimitMebibytes,
  promisedHealthMilliseconds,
  promisedRatio,
} from '../support/system/floods.ts';
import { promisedPlacementMilliseconds } from '../support/system/pending-crowd-bed.ts';
import { agentPromises, benchAgent, benchAgentUnderWine, type LifeFigures } from './agent.ts';
import { benchConverge, promised } from './converge.ts';
import { benchDocuments } from './documents.ts';
import { benchFailover } from './failover.ts';
import { benchFairness } from './fairness.ts';
import { benchFleet } from './fleet/fleet.ts';
import { valueText } from './fleet/report/report.ts';
import { fleetFlags, sizesOf } from './fleet/sizes.ts';
import { benchGuestLogs } from './guest-logs.ts';
import { benchIdle } from './idle.ts';
import { benchLogs, promisedDelayMilliseconds, promisedMegabytesPerSecond } from './logs.ts';
import { benchMemory } from './memory.ts';
import { type Figure, writeFigure } from './record/figures.ts';
import { benchSets, promisedPlanMilliseconds } from './sets.ts';
import { benchStore, promisedMebibytes } from './store.ts';

const say = (line: string) => process.stdout.write(`${line}\n`);

const flags = {
  vms: { type: 'string', default: '2000' },
  pending: { type: 'string', default: '7500' },
  hosts: { type: 'string', default: '500' },
  cached: { type: 'string', default: '20000' },
  replicas: { type: 'string', default: '5000' },
  alone: { type: 'boolean', default: false },
  csv: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
  ...fleetFlags,
} as const;
const { positionals: names, values: options } = parsed();

function parsed() {
  try {
    return parseArgs({ allowPositionals: true, options: flags });
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exit(2);
  }
}

/** Adds a figure to the file of --csv. */
function record(bench: string, better: Figure['better'], unit: string, values: Readonly<Record<string, number>>): void {
  if (options.csv === undefined) return;
  for (const [name, value] of Object.entries(values)) {
    writeFigure(options.csv, { bench, name, unit, better, value }, new Date());
  }
}

const ms = (milliseconds: number) => `${milliseconds.toFixed(0)} ms`;

function sayLives(where: string, { single, together }: LifeFigures): void {
  const { machines, milliseconds, wakings } = together;
  record(where, 'less', 'ms', { 'one VM runs': single.median, [`${machines} VMs at once run`]: milliseconds });
  say(
    `${where} · a VM runs after ${ms(single.median)} (worst ${ms(single.worst)}), promised ${agentPromises.single} ms`,
  );
  say(`${where} · ${machines} VMs at once run after ${ms(milliseconds)}, promised ${agentPromises.together} ms`);
  say(
    `${where} · meanwhile the pump was woken ${wakings.bySocket} times by a socket, ${wakings.byRest} by the end of a rest, ${wakings.byIdleTime} by its idle time-out`,
  );
}

const benches: Readonly<Record<string, () => Promise<void>>> = {
  async agent() {
    const figures = await benchAgent();
    const { blocked, residentMebibytes, together } = figures;
    record('agent', 'less', 'MiB', { [`resident with ${together.machines} VMs`]: residentMebibytes });
    record('agent', 'less', 'ms', {
      'a file read while calls block': blocked.read,
      'a name looked up while calls block': blocked.lookUp,
    });
    sayLives('agent', figures);
    say(
      `agent · with ${together.machines} VMs: ${residentMebibytes.toFixed(0)} MiB resident, promised ${agentPromises.resident} MiB`,
    );
    say(
      `agent · with 100 calls blocked for ${blocked.seconds} s: a file read in ${ms(blocked.read)}, a name looked up in ${ms(blocked.lookUp)}, promised ${agentPromises.blocked} ms`,
    );
    const underWine = await benchAgentUnderWine();
    if ('missing' in underWine) say(`agent under wine · not measured: ${underWine.missing} is not there`);
    else sayLives('agent under wine', underWine);
  },
  async documents() {
    for (const { name, microseconds, ratio, promisedRatio } of benchDocuments()) {
      record('documents', 'less', '× JSON.stringify', { [name]: ratio });
      const promise = promisedRatio === undefined ? '' : `, promised ${promisedRatio}`;
      say(`documents · ${name}: ${microseconds.toFixed(1)} µs, ${ratio.toFixed(2)} × JSON.stringify${promise}`);
    }
  },
  async 'guest-logs'() {
    for (const { name, linesPerSecond, megabytesPerSecond, promised } of benchGuestLogs()) {
      record('guest-logs', 'more', 'lines/s', { [name]: linesPerSecond });
      const promise = promised === undefined ? '' : `, promised ${promised}`;
      say(
        `guest-logs · ${name}: ${linesPerSecond.toFixed(0)} lines/s, ${megabytesPerSecond.toFixed(0)} MB/s${promise}`,
      );
    }
  },
  async floods() {
    const [quiet, ...floods] = await benchFloods();
    for (const { guests, health, median, residentMebibytes, worst } of [quiet, ...floods].flatMap(
      (each) => each ?? [],
    )) {
      const ratio = median / (quiet?.median ?? Number.NaN);
      record('floods', 'less', 'ms', {
        [`a VM runs beside ${guests} guests that flood`]: median,
        [`/healthz beside ${guests} guests that flood`]: health,
      });
      say(
        `floods · beside ${guests} guests that flood: a VM runs after ${ms(median)} (worst ${ms(worst)}), ${ratio.toFixed(2)} × a quiet agent, promised ${promisedRatio}; /healthz after at most ${ms(health)}, promised ${promisedHealthMilliseconds}; ${residentMebibytes.toFixed(0)} MiB resident, promised ${memoryLimitMebibytes}`,
      );
    }
  },
  async logs() {
    const { control, documents, doubled, linesPerSecond, megabytesPerSecond, missing, processes, programs } =
      await benchLogs();
    record('logs', 'more', 'MB/s', { followed: megabytesPerSecond });
    const delays = (sorted: readonly number[]) => {
      const at = (part: number) =>
        (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0).toFixed(0);
      return `after ${at(0.5)} ms, 95 % ${at(0.95)} ms, at most ${at(1)} ms`;
    };
    say(
      `logs · followed: ${megabytesPerSecond.toFixed(0)} MB/s, ${linesPerSecond.toFixed(0)} lines/s, promised ${promisedMegabytesPerSecond} MB/s; ${missing} missing, ${doubled} doubled`,
    );
    say(
      `logs · meanwhile the document of another VM is there ${delays(documents)}, a process speaks ${delays(processes)}`,
    );
    say(
      `logs · ${control.length} lone control messages: the agent's answer is there ${delays(control)}; promised ${promisedDelayMilliseconds} ms`,
    );
    for (const { processorMillisecondsPerMegabyte, program, resident } of programs) {
      record('logs', 'less', 'ms/MB', { [program]: processorMillisecondsPerMegabyte });
      const [first = 0, middle = 0, last = 0, most = 0] = resident;
      const mebibytes = [first, middle, last].map((each) => each.toFixed(0)).join(' → ');
      say(
        `logs · ${program}: ${processorMillisecondsPerMegabyte.toFixed(1)} ms of processor time for a MB; ${mebibytes} MiB resident, at most ${most.toFixed(0)}`,
      );
    }
  },
  async start() {
    const begun = Date.now();
    const playground = fileURLToPath(new URL('../../simulator/playground/main.ts', import.meta.url));
    const child = spawn(process.execPath, [playground, '--once'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    let settled: number | undefined;
    child.stdout.on('data', (chunk) => {
      output += chunk;
      if (settled === undefined && output.includes('Every example is in its expected state.'))
        settled = Date.now() - begun;
    });
    const [code] = await once(child, 'close');
    if (code !== 0 || settled === undefined) throw new Error(`npm start -- --once ended with ${code}:\n${output}`);
    record('start', 'less', 'ms', { 'every example in its state': settled });
    say(`start · every example in its state after ${(settled / 1000).toFixed(1)} s, promised 15 s`);
  },
  async memory() {
    for (const { program, mebibytes, promised } of await benchMemory()) {
      record('memory', 'less', 'MiB', { [program]: mebibytes });
      say(`memory · ${program}: ${mebibytes.toFixed(0)} MiB resident, promised ${promised} MiB`);
    }
  },
  async converge() {
    const machines = Number(options.vms);
    const { limit, rows } = await benchConverge(machines, options.alone);
    if (limit === undefined) say('converge · without baseline and limit');
    else {
      const rate = (seconds: number) => (machines / seconds).toFixed(0);
      say(`converge · limit: ${rate(limit.createSeconds)} creations/s, ${rate(limit.writeSeconds)} status writes/s`);
    }
    const [baseline] = rows;
    for (const row of rows) {
      const ratio = row.processorMilliseconds / (baseline?.processorMilliseconds ?? Number.NaN);
      record('converge', 'less', 'ms of processor time per VM', { [row.name]: row.processorMilliseconds });
      record('converge', 'less', 'writes per VM', { [`${row.name}: writes`]: row.writesPerMachine });
      say(
        [
          `converge · ${row.name}: ${machines} VMs in ${row.seconds.toFixed(1)} s`,
          `${row.writesPerMachine.toFixed(2)} writes per VM (and ${row.hostWritesPerMachine.toFixed(2)} of hosts)`,
          `${row.processorMilliseconds.toFixed(2)} ms of processor time per VM`,
          ...(limit === undefined ? [] : [`${ratio.toFixed(2)} × the baseline`]),
          ...(row.shareOfLimit === undefined ? [] : [`${(row.shareOfLimit * 100).toFixed(0)} % of as many raw writes`]),
        ].join(', '),
      );
    }
    const { writesPerMachine, processorRatio, shareOfLimit } = promised;
    say(
      `converge · all on one control plane in one run; promised: at most ${writesPerMachine} writes per VM, ${processorRatio} × the baseline, at least ${shareOfLimit * 100} % of as many raw writes`,
    );
  },
  async store() {
    const { machines, bytesEach, mebibytes, peakMebibytes } = await benchStore(Number(options.cached));
    record('store', 'less', 'MiB', { [`${machines} cached VMs`]: mebibytes });
    say(
      `store · ${machines} cached VMs of ${bytesEach} bytes: operator ${mebibytes.toFixed(0)} MiB resident, promised ${promisedMebibytes}; ${peakMebibytes.toFixed(0)} at its highest`,
    );
  },
  async sets() {
    const { hosts, placement, plan, replicas } = benchSets(Number(options.replicas), Number(options.hosts));
    record('sets', 'less', 'ms', {
      [`plan of ${replicas} VMs`]: plan,
      [`placement beside ${replicas} VMs`]: placement,
    });
    say(
      `sets · the plan of a rollout of ${replicas} VMs: ${plan.toFixed(2)} ms of processor time, promised ${promisedPlanMilliseconds} ms; a host for one more VM of the set, of ${hosts}: ${placement.toFixed(2)} ms`,
    );
  },
  async failover() {
    for (const { how, milliseconds, promised: most } of await benchFailover()) {
      record('failover', 'less', 'ms', { [`the leader ${how}`]: milliseconds });
      say(`failover · the leader ${how}: a new VM runs after ${ms(milliseconds)}, promised ${ms(most)}`);
    }
  },
  async fairness() {
    const [pending, hosts] = [Number(options.pending), Number(options.hosts)];
    for (const { moment, milliseconds } of await benchFairness(pending, hosts)) {
      record('fairness', 'less', 'ms', { [moment]: milliseconds });
      say(
        `fairness · beside ${pending} pending VMs, with ${hosts} hosts, ${moment}: another namespace's VM is placed within ${ms(milliseconds)}, promised ${promisedPlacementMilliseconds} ms`,
      );
    }
  },
  async fleet() {
    const progress = (line: string) => process.stderr.write(`fleet · ${line}\n`);
    const { part = [], report } = options;
    const results = await benchFleet({ sizes: sizesOf(options), parts: part, report, say: progress });
    for (const { part: name, measures } of results) {
      for (const { name: what, value, unit, most } of measures) {
        record('fleet', 'less', unit, { [`${name}: ${what}`]: value });
        const promise = most === undefined ? '' : `, promised ${valueText(most)}`;
        say(`fleet · ${name} · ${what}: ${valueText(value)} ${unit}${promise}`);
      }
    }
  },
  async idle() {
    const { writes, events, reconnects, logLines } = await benchIdle();
    record('idle', 'less', 'writes', { 'lcow.dev': writes, events });
    say(
      `idle · ${logLines} log lines, ${reconnects} reconnect: ${writes} writes to lcow.dev, ${events} to events, promised none`,
    );
  },
};

if (options.help) {
  const usage = Object.entries(flags).map(([name, flag]) => {
    const value = flag.type === 'boolean' ? '' : ' VALUE';
    return `  --${name}${value}${'default' in flag && value !== '' ? ` (${flag.default})` : ''}`;
  });
  const all = Object.keys(benches).join(' ');
  say(['Usage: npm run bench -- [NAME …] [flags]', `Names, by default all but fleet: ${all}`, ...usage].join('\n'));
  process.exit(0);
}
const unknown = names.filter((name) => benches[name] === undefined);
if (unknown.length > 0) {
  process.stderr.write(`no such bench: ${unknown.join(', ')}; there are ${Object.keys(benches).join(', ')}\n`);
  process.exit(2);
}
const usual = Object.keys(benches).filter((name) => name !== 'fleet');
for (const name of names.length > 0 ? names : usual) await benches[name]?.();
