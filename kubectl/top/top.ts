// `kubectl luvm top`: what VMs, or hosts, use of processors and memory, and how fast guests write their logs.
import type { z } from 'zod';
import { BoundedMemory } from '../../runtime/bounded-memory.ts';
import { delay } from '../../runtime/clock.ts';
import type { Api } from '../api.ts';
import { type CommandPorts, exitCodes } from '../commands.ts';
import { hostsPath, listed, machineName, machinesPath, type Selection } from '../machines.ts';
import { tell } from '../terminal.ts';
import {
  hostLoadOf,
  loadOf,
  type MachineLoad,
  type MeasuredHost,
  measuredHost,
  type RunningMachine,
  runningMachine,
} from './machine-load.ts';
import { keyOf, type Readings, readUsage } from './readings.ts';
import { show, type ViewOptions } from './view.ts';

export interface TopOptions extends Selection, ViewOptions {}

/** Between two readings. An agent asks its host at most once a second for a VM. */
const intervalMilliseconds = 2_000;
/** Problems that are not told again. */
const toldBytes = 256 * 1024;

export async function top(options: TopOptions, ports: CommandPorts): Promise<number> {
  const { terminal } = ports;
  const over = new AbortController();
  const stopListening = terminal.onInterrupt(() => over.abort());
  try {
    await showRounds(options, ports, over.signal);
  } catch (error) {
    if (!over.signal.aborted) throw error;
  } finally {
    stopListening();
  }
  return exitCodes.ok;
}

async function showRounds(options: TopOptions, ports: CommandPorts, signal: AbortSignal): Promise<void> {
  const { clock, terminal } = ports;
  const told = new BoundedMemory<true>(toldBytes);
  let before = await look(options, ports);
  do {
    await delay(clock, intervalMilliseconds, signal);
    const now = await look(options, ports);
    const machines = loadsOf(before, now);
    const rows = options.hosts ? now.hosts.map((host) => hostLoadOf(host, machines)) : machines;
    await show(rows, options, terminal);
    for (const problem of now.readings.problems) {
      if (!told.has(problem)) tell(terminal, problem);
      told.set(problem, true, problem.length);
    }
    before = now;
  } while (options.watch && !terminal.output.destroyed);
}

interface Seen {
  readonly machines: readonly RunningMachine[];
  readonly hosts: readonly MeasuredHost[];
  readonly readings: Readings;
}

/** The VMs that are wanted, or all VMs for the sums of the hosts that are wanted. */
async function look(options: TopOptions, { api }: CommandPorts): Promise<Seen> {
  const { allNamespaces, hosts, names, selector } = options;
  const wanted = { names: new Set(hosts ? names : names.map(machineName)), selector };
  const path = machinesPath(allNamespaces || hosts ? undefined : api.namespace);
  const machines = await collected(api, path, runningMachine, hosts ? everything : wanted);
  return {
    machines,
    hosts: hosts ? await collected(api, hostsPath, measuredHost, wanted) : [],
    readings: await readUsage(api, machines),
  };
}

interface Wanted {
  /** Empty: all. */
  readonly names: ReadonlySet<string>;
  readonly selector: string | undefined;
}
const everything: Wanted = { names: new Set(), selector: undefined };

async function collected<T extends { readonly metadata: { readonly name: string } }>(
  api: Api,
  path: string,
  schema: z.ZodType<T>,
  { names, selector }: Wanted,
): Promise<readonly T[]> {
  const found: T[] = [];
  for await (const object of listed(api, path, { selector })) {
    const parsed = schema.parse(object);
    if (names.size === 0 || names.has(parsed.metadata.name)) found.push(parsed);
  }
  return found;
}

function loadsOf(before: Seen, now: Seen): readonly MachineLoad[] {
  return now.machines.map((machine) => {
    const key = keyOf(machine);
    return loadOf(machine, before.readings.usage.get(key), now.readings.usage.get(key));
  });
}
