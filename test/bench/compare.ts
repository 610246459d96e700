// `npm run bench:compare -- COMMIT`: whether the work tree is slower than a commit. Runs the same benches of both in turn
// on this machine, judges each figure by the median of the ratios, and ends with 1 if one is worse by more than 15 %
// beyond the noise of the runs.
import { type ExecFileSyncOptions, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { messageOf } from '../../runtime/error-text.ts';
import { type Figure, readFigures } from './record/figures.ts';
import { allowedLoss, type Comparison, compare } from './record/judgement.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));
/** These take a minute, and no other program on the machine changes their ratios much. */
const usualBenches = 'documents,guest-logs';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    benches: { type: 'string', default: usualBenches },
    runs: { type: 'string', default: '5' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const [commit] = positionals;
const usage = `Usage: npm run bench:compare -- COMMIT [--benches ${usualBenches}] [--runs 5]\n`;
if (values.help || commit === undefined) {
  process[values.help ? 'stdout' : 'stderr'].write(usage);
  process.exit(values.help ? 0 : 2);
}

const folder = mkdtempSync(join(tmpdir(), 'bench-compare-'));
try {
  process.exitCode = run(commit, Number(values.runs), values.benches.split(','));
} catch (error) {
  process.stderr.write(`error: ${messageOf(error)}\n`);
  process.exitCode = 2;
} finally {
  git('worktree', 'remove', '--force', join(folder, 'before'));
  rmSync(folder, { recursive: true, force: true });
}

function run(base: string, runs: number, benches: readonly string[]): number {
  const before = checkedOut(base);
  const figures: { readonly before: (readonly Figure[])[]; readonly after: (readonly Figure[])[] } = {
    before: [],
    after: [],
  };
  for (let each = 1; each <= runs; each += 1) {
    process.stderr.write(`run ${each} of ${runs}\n`);
    // Neither side always comes first.
    const order = each % 2 === 0 ? (['after', 'before'] as const) : (['before', 'after'] as const);
    for (const side of order) figures[side].push(measured(side === 'before' ? before : project, benches));
  }
  const comparisons = compare(figures.before, figures.after);
  for (const comparison of comparisons) process.stdout.write(`${shown(comparison)}\n`);
  const worse = comparisons.filter(({ isWorse }) => isWorse).length;
  process.stdout.write(
    `${comparisons.length} figures, ${worse} worse by more than ${allowedLoss * 100} % beyond the noise\n`,
  );
  return comparisons.length === 0 || worse > 0 ? 1 : 0;
}

function shown({ after, before, bench, isWorse, loss, name, noise, unit }: Comparison): string {
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
  const change = loss > 0 ? `${percent(loss)} worse` : `${percent(-loss)} better`;
  const values = `${before.toFixed(2)} → ${after.toFixed(2)} ${unit}`;
  return `${isWorse ? 'WORSE' : 'ok   '} ${bench} · ${name}: ${values}, ${change}, noise ${percent(noise)}`;
}

/** The commit in a folder of its own, with the packages that it asks for. */
function checkedOut(base: string): string {
  const path = join(folder, 'before');
  git('worktree', 'add', '--detach', path, base);
  const lock = (root: string) => readFileSync(join(root, 'package-lock.json'), 'utf8');
  if (lock(path) === lock(project)) symlinkSync(join(project, 'node_modules'), join(path, 'node_modules'));
  else execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: path, stdio: ['ignore', 'ignore', 'inherit'] });
  return path;
}

function measured(root: string, benches: readonly string[]): readonly Figure[] {
  const file = join(folder, 'figures.csv');
  rmSync(file, { force: true });
  const node = join(root, 'node_modules/.bin/node');
  const args = [join(root, 'test/bench/main.ts'), ...benches, '--csv', file];
  const options: ExecFileSyncOptions = { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] };
  try {
    execFileSync(existsSync(node) ? node : process.execPath, args, options);
  } catch (error) {
    const isOld = String(error).includes('--csv');
    throw isOld ? new Error('that commit is older than the flag --csv of the benches: it cannot be compared') : error;
  }
  return readFigures(file);
}

function git(...args: readonly string[]): void {
  execFileSync('git', args, { cwd: project, stdio: ['ignore', 'ignore', 'inherit'] });
}
