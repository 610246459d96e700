// `kubectl luvm status`: where a VM is, how its boot went and how long each phase took, what is wrong, how it ended
// last, which folders of the host it has, what its guest printed last.
import { z } from 'zod';
import { type LinuxUtilityVMStatus, linuxUtilityVMStatus } from '../crds/linux-utility-vm.ts';
import { conditionsPresentOnlyWhileTrue } from '../crds/object.ts';
import { counted } from '../runtime/counted.ts';
import { plainLines, plainText } from '../runtime/plain-text.ts';
import type { Api } from './api.ts';
import { type CommandPorts, exitCodes } from './commands.ts';
import { listed, machineName, machinePath, machinesPath, type Selection } from './machines.ts';
import { showObjects } from './output.ts';
import type { OutputFormat } from './output-formats.ts';
import { writeTo } from './terminal.ts';

const machine = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string(),
    creationTimestamp: z.string().optional(),
    deletionTimestamp: z.string().optional(),
  }),
  spec: z.looseObject({ runStrategy: z.string().default('Always') }).prefault({}),
  status: z.unknown().optional(),
});
type Machine = z.infer<typeof machine>;

export interface StatusOptions extends Selection {
  readonly output?: OutputFormat | undefined;
}

export async function status(options: StatusOptions, { api, terminal }: CommandPorts): Promise<number> {
  const objects: unknown[] = [];
  let count = 0;
  for await (const object of selectedMachines(api, options)) {
    if (options.output !== undefined) objects.push(object);
    else await writeTo(terminal.output, `${count === 0 ? '' : '\n'}${summary(object)}\n`);
    count += 1;
  }
  if (options.output !== undefined) await showObjects(terminal, options.output, objects);
  return exitCodes.ok;
}

async function* selectedMachines(api: Api, { names, selector }: Selection): AsyncGenerator<unknown> {
  if (names.length > 0 && selector !== undefined) throw new Error('give names or a selector, not both');
  if (names.length === 0) yield* listed(api, machinesPath(api.namespace), { selector });
  for (const name of new Set(names.map(machineName))) yield await api.json({ path: machinePath(api.namespace, name) });
}

function summary(object: unknown): string {
  const found = machine.parse(object);
  const parsed = linuxUtilityVMStatus.safeParse(found.status ?? {});
  return parsed.success
    ? story(found, parsed.data).map(plainText).join('\n')
    : plainLines(`its status cannot be read: ${z.prettifyError(parsed.error)}`);
}

export function story(found: Machine, now: LinuxUtilityVMStatus): readonly string[] {
  return [...headline(found, now), ...boot(found, now), ...troubles(now), ...past(now), ...shares(now), ...guest(now)];
}

function headline({ metadata, spec }: Machine, now: LinuxUtilityVMStatus): readonly string[] {
  const { namespace, name, deletionTimestamp } = metadata;
  const where = now.nodeName === undefined ? 'without a host' : `on ${now.nodeName}`;
  const deleted = deletionTimestamp === undefined ? '' : `, being deleted since ${deletionTimestamp}`;
  const ready = now.conditions?.find(({ type }) => type === 'Ready');
  const readiness = ready === undefined ? '' : `: ${ready.status === 'True' ? 'ready' : 'not ready'} (${ready.reason})`;
  const size = [
    now.processorCount === undefined ? [] : [counted(now.processorCount, 'processor')],
    now.memorySizeInMB === undefined ? [] : [`${now.memorySizeInMB} MB`],
  ].flat();
  return [
    `${namespace}/${name} ${where}, ${now.phase ?? 'Pending'}${readiness}${deleted}`,
    `  run strategy ${spec.runStrategy}, ${counted(now.restarts ?? 0, 'restart')}${size.map((each) => `, ${each}`).join('')}`,
  ];
}

const phases = [
  ['prepared', 'files found, document built'],
  ['created', 'compute system created'],
  ['started', 'started'],
  ['entropy', 'guest fetched entropy'],
  ['log', 'guest connected its log'],
  ['guestConnected', 'guest answered on its bridge'],
] as const;

/** Each phase with its time and the time since the phase before; then the phase that is waited for. */
function boot(_found: Machine, { bootTimings, startTime, phase }: LinuxUtilityVMStatus): readonly string[] {
  if (bootTimings === undefined || Object.keys(bootTimings).length === 0) return [];
  const lines = ['boot'];
  let before: number | undefined;
  for (const [key, text] of phases) {
    const time = bootTimings[key];
    if (time === undefined) continue;
    lines.push(step(time, text, before));
    before = Date.parse(time);
  }
  if (startTime !== undefined && phase === 'Running') lines.push(step(startTime, 'running', before));
  return lines;
}

function step(time: string, text: string, before: number | undefined): string {
  const passed = before === undefined ? '' : `+${((Date.parse(time) - before) / 1000).toFixed(3)} s`;
  return `  ${time}  ${passed.padStart(10)}  ${text}`;
}

/** Conditions for which `False` is the good value. */
const goodWhenFalse: ReadonlySet<string> = new Set(conditionsPresentOnlyWhileTrue);

function troubles({ conditions = [], startFailure, warnings = [] }: LinuxUtilityVMStatus): readonly string[] {
  const bad = conditions.filter(({ status: value, type }) => value !== (goodWhenFalse.has(type) ? 'False' : 'True'));
  const lines = bad.map(
    ({ lastTransitionTime, message, reason, status: value, type }) =>
      `  ${type} is ${value} since ${lastTransitionTime}: ${reason}: ${message}`,
  );
  if (startFailure !== undefined && startFailure.count > 0) {
    const again = startFailure.retryAfter === undefined ? '' : `; tried again after ${startFailure.retryAfter}`;
    lines.push(`  ${counted(startFailure.count, 'failure')} in a row${again}`);
  }
  lines.push(...warnings.map((warning) => `  warning: ${warning}`));
  return lines.length === 0 ? [] : ['what is not as it should be', ...lines];
}

function past({ lastExit, process }: LinuxUtilityVMStatus): readonly string[] {
  const exit = lastExit === undefined ? [] : [`last exit ${lastExit.time}: ${lastExit.type}: ${lastExit.message}`];
  return process === undefined ? exit : [...exit, `process ${processText(process)}`];
}

function shares({ devices }: LinuxUtilityVMStatus): readonly string[] {
  return (devices?.shares ?? []).map(
    ({ guestPath, name, path, readOnly }) => `share ${name}: ${path} at ${guestPath}${readOnly ? ', read-only' : ''}`,
  );
}

function processText({ exitCode, finishedAt, reason, startedAt, state }: Process): string {
  const how = exitCode === undefined ? (reason ?? '') : `exit code ${exitCode}`;
  const times = [startedAt && `since ${startedAt}`, finishedAt && `until ${finishedAt}`];
  return [`${state.toLowerCase()}${how === '' ? '' : `: ${how}`}`, ...times].filter(Boolean).join(', ');
}

type Process = NonNullable<LinuxUtilityVMStatus['process']>;

function guest({ guest: found, guestLog }: LinuxUtilityVMStatus): readonly string[] {
  const lines: string[] = [];
  if (found !== undefined) lines.push(`guest ${found.osType}, bridge protocol ${found.protocolVersion}`);
  const { dropped = 0, head = [], tail = [], total = 0 } = guestLog ?? {};
  if (total === 0) return lines;
  const left = total - head.length - tail.length;
  lines.push(`guest log, ${counted(total, 'line')}, ${dropped} dropped (kubectl luvm logs has all that are kept)`);
  lines.push(...head.map((line) => `  ${line}`));
  if (left > 0) lines.push(`  … ${left} more …`);
  lines.push(...tail.map((line) => `  ${line}`));
  return lines;
}
