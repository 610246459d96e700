// The commands below `kubectl luvm rollout`, which act on sets.
import { Option } from 'commander';
import {
  type Commands,
  type OutputFlag,
  type SelectorFlag,
  timeout,
  wholeNumber,
  withOutput,
  withSelector,
} from '../command-line.ts';

const setsForPrograms = 'print the sets for a program';
const setArgument = ['<set>', 'NAME or luvmset/NAME'] as const;

export function addRollout(commands: Commands): void {
  const rollout = commands.group('rollout', 'follow the rollouts of sets, and show the revisions of their templates');
  addStatus(rollout);
  addHistory(rollout);
  addSwitches(rollout);
  addUndo(rollout);
  addPlan(rollout);
}

interface StatusFlags {
  readonly watch: boolean;
  readonly timeout?: number;
  readonly revision?: number;
}

function addStatus(commands: Commands): void {
  const command = commands
    .add('status', 'follow a rollout; ends with 0 when it is complete, and with 1 and the reason when it cannot be')
    .argument(...setArgument)
    .option('-w, --watch', 'follow it to its end', true)
    .option('--no-watch', 'say how far it is, and end (also --watch=false)')
    .option('--timeout <time>', 'give up after this time, such as 5m (default: never)', timeout)
    .option('--revision <number>', 'end with an error if another revision is rolled out', wholeNumber);
  commands.does<StatusFlags>(command, async ([set = ''], { revision, timeout: timeoutMilliseconds, watch }, ports) => {
    const [name, { rolloutStatus }] = await Promise.all([nameOf(set), import('./status.ts')]);
    return await rolloutStatus(name, { revision, timeoutMilliseconds, watch }, ports);
  });
}

interface HistoryFlags extends OutputFlag {
  readonly revision?: number;
  readonly diff?: boolean;
}

function addHistory(commands: Commands): void {
  const command = commands
    .add('history', 'show the revisions of a set’s template, and how many VMs have each')
    .argument(...setArgument)
    .option('--revision <number>', 'show the template of this revision', wholeNumber)
    .option('--diff', 'with --revision: show how the present template would change to become this one');
  withOutput(command, 'print the revisions for a program');
  commands.does<HistoryFlags>(command, async ([set = ''], { diff, output, revision }, ports) => {
    const [name, { history }] = await Promise.all([nameOf(set), import('./history.ts')]);
    return await history(name, { diff, output, revision }, ports);
  });
}

function addSwitches(commands: Commands): void {
  const descriptions = {
    pause: 'set spec.update.paused: VMs do not get a changed template',
    resume: 'remove spec.update.paused',
    restart: 'restart all VMs of sets within their budgets, with lcow.dev/restartedAt in their templates',
  } as const;
  for (const verb of ['pause', 'resume', 'restart'] as const) {
    const command = commands.add(verb, descriptions[verb]).argument('[sets...]', 'NAME or luvmset/NAME');
    withOutput(withSelector(command, 'select sets by their labels, such as app=web'), setsForPrograms);
    commands.does<SelectorFlag & OutputFlag>(command, async (names, { output, selector }, ports) => {
      const change = await import('./change.ts');
      return await change[verb]({ names, selector, output }, ports);
    });
  }
}

interface UndoFlags extends OutputFlag {
  readonly toRevision?: number;
}

function addUndo(commands: Commands): void {
  const command = commands
    .add('undo', 'give a set a former template again')
    .argument(...setArgument)
    .option(
      '--to-revision <number>',
      'the revision with the template (default: the one before the present one)',
      wholeNumber,
    );
  withOutput(command, setsForPrograms);
  commands.does<UndoFlags>(command, async (names, { output, toRevision }, ports) => {
    const { undo } = await import('./change.ts');
    // As for kubectl, 0 is the one before.
    return await undo({ names, output, toRevision: toRevision || undefined }, ports);
  });
}

interface PlanFlags {
  readonly filename: string;
  readonly serverSide?: boolean;
  readonly fieldManager: string;
  readonly forceConflicts?: boolean;
  readonly namespace?: string;
  readonly output?: 'json' | 'yaml';
}

function addPlan(commands: Commands): void {
  const command = commands
    .add(
      'plan',
      'show what a manifest would do to the VMs of a set, before it is applied; ends with 1 if it would stall',
    )
    .requiredOption('-f, --filename <file>', 'the manifest; - reads it from the input')
    .option('--server-side', 'as "kubectl apply --server-side" would apply it')
    .option('--field-manager <name>', 'who applies it, with --server-side', 'kubectl')
    .option('--force-conflicts', 'with --server-side, take fields over from other managers')
    .addOption(new Option('-o, --output <format>', 'print the plan for a program').choices(['json', 'yaml']));
  commands.does<PlanFlags>(command, async (_, flags, ports) => {
    const { fieldManager, filename, forceConflicts = false, namespace, output, serverSide = false } = flags;
    const [{ rolloutPlan }, { readFile }] = await Promise.all([import('./plan.ts'), import('node:fs/promises')]);
    const options = { serverSide, fieldManager, forceConflicts, namespace, output };
    return await rolloutPlan({ ...options, file: filename, readFile: (path) => readFile(path, 'utf8') }, ports);
  });
}

async function nameOf(text: string): Promise<string> {
  const { objectName, setType } = await import('../object-types.ts');
  return objectName(text, setType);
}
