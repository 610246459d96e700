// The commands that set or remove an annotation of VMs: `restart`, `pause` and `resume`. The spec does not change, so it
// stays as Git has it.
import { z } from 'zod';
import { pausedAnnotation, restartedAtAnnotation } from '../crds/names.ts';
import { messageOf } from '../runtime/error-text.ts';
import type { Api } from './api.ts';
import { type CommandPorts, exitCodes } from './commands.ts';
import { machinePath, type Selection, selectedNames } from './machines.ts';
import { machineType } from './object-types.ts';
import { showObjects } from './output.ts';
import type { OutputFormat } from './output-formats.ts';
import { type Terminal, tell, writeTo } from './terminal.ts';

export interface AnnotateOptions extends Selection {
  readonly output?: OutputFormat | undefined;
}

const machine = z.looseObject({
  metadata: z.looseObject({
    annotations: z.record(z.string(), z.string()).default({}),
    deletionTimestamp: z.string().optional(),
  }),
  spec: z.looseObject({ runStrategy: z.string().optional() }).prefault({}),
  status: z.looseObject({ phase: z.string().optional(), lastExit: z.unknown().optional() }).prefault({}),
});
type Machine = z.infer<typeof machine>;

interface Change {
  readonly annotation: string;
  /** Undefined removes the annotation. */
  readonly value: string | undefined;
  readonly done: string;
  /** Why the change has no visible effect yet. */
  readonly caveat: (machine: Machine) => string | undefined;
}

export function restart(options: AnnotateOptions, ports: CommandPorts): Promise<number> {
  const value = new Date(ports.clock.now()).toISOString();
  const done = `restarted (${restartedAtAnnotation}=${value})`;
  return annotate(options, { annotation: restartedAtAnnotation, value, done, caveat: whyNothingStarts }, ports);
}

export function pause(options: AnnotateOptions, ports: CommandPorts): Promise<number> {
  return annotate(options, { annotation: pausedAnnotation, value: 'true', done: 'paused', caveat: never }, ports);
}

export function resume(options: AnnotateOptions, ports: CommandPorts): Promise<number> {
  return annotate(options, { annotation: pausedAnnotation, value: undefined, done: 'resumed', caveat: never }, ports);
}

const never = () => undefined;

function whyNothingStarts({ metadata, spec, status }: Machine): string | undefined {
  if (metadata.deletionTimestamp !== undefined) return 'nothing was started: the VM is being deleted';
  if (spec.runStrategy === 'Halted') return 'nothing was started: its runStrategy is Halted';
  const hasEnded = status.lastExit !== undefined && (status.phase === 'Stopped' || status.phase === 'Failed');
  if (spec.runStrategy === 'Once' && hasEnded) return 'nothing was started: its runStrategy is Once, and it has ended';
  // Any value may pause the VM, or none: the operator decides, and says so in its status.
  const paused = metadata.annotations[pausedAnnotation];
  return paused === undefined
    ? undefined
    : `${pausedAnnotation} is ${JSON.stringify(paused)}: a paused VM restarts once it is resumed`;
}

/** Each VM gets its change, also when another one cannot have it. */
async function annotate(options: AnnotateOptions, change: Change, ports: CommandPorts): Promise<number> {
  const { api, terminal } = ports;
  const names = await selectedNames(api, options);
  const changed: unknown[] = [];
  for (const name of names) {
    try {
      const object = await patched(api, name, change);
      changed.push(object);
      await report(name, machine.parse(object), change, options, terminal);
    } catch (error) {
      tell(terminal, `error: ${messageOf(error)}`);
    }
  }
  if (options.output !== undefined && changed.length > 0) await showObjects(terminal, options.output, changed);
  return changed.length === names.length ? exitCodes.ok : exitCodes.failed;
}

async function patched(api: Api, name: string, { annotation, value }: Change): Promise<unknown> {
  return await api.json({
    method: 'PATCH',
    path: machinePath(api.namespace, name),
    query: new URLSearchParams({ fieldManager: 'kubectl-luvm' }),
    body: { metadata: { annotations: { [annotation]: value ?? null } } },
  });
}

async function report(
  name: string,
  object: Machine,
  { annotation, caveat, done, value }: Change,
  { output }: AnnotateOptions,
  terminal: Terminal,
): Promise<void> {
  const reason = caveat(object);
  const text = reason === undefined ? done : `annotated (${annotation}=${value})`;
  if (output === undefined) await writeTo(terminal.output, `${machineType.shown}/${name} ${text}\n`);
  if (reason !== undefined) tell(terminal, `${machineType.shown}/${name}: ${reason}`);
}
