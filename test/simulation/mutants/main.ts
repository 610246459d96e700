// Plants one fault after another into a copy of the product, and runs seeds until one fails. A fault that no seed finds
// shows that a judge or a workload is missing.
//
//   node test/simulation/mutants/main.ts [--seeds N] [NAME …]     from seed 1 on
//   npm run test:mutants                                         only the seed that each patch names
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const project = fileURLToPath(new URL('../../../', import.meta.url));
const patches = fileURLToPath(new URL('./', import.meta.url));
/** What a run of the simulation loads. */
const parts = ['agent', 'crds', 'operator', 'protocol', 'runtime', 'sets', 'simulator', 'test', 'package.json'];

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: 'string', default: '500' }, known: { type: 'boolean', default: false } },
});

const names = (await readdir(patches)).flatMap((file) => /^(.*)\.patch$/.exec(file)?.[1] ?? []).sort();
const chosen = positionals.length === 0 ? names : positionals;
for (const name of chosen) {
  const known = values.known ? await knownSeed(name) : undefined;
  if (values.known && known === undefined) {
    process.stdout.write(`${name}: no seed is known that finds it\n`);
    continue;
  }
  const range = known === undefined ? ['--seeds', values.seeds] : ['--seeds', '1', '--from', known];
  const found = await findIn(name, range);
  process.stdout.write(`${name}: ${found ?? `not found with ${range.join(' ')}`}\n`);
  if (found === undefined) process.exitCode = 1;
}

/** The patch begins with a line that names the seed. */
async function knownSeed(name: string): Promise<string | undefined> {
  return /^Found by seed (\d+)\.$/m.exec(await readFile(join(patches, `${name}.patch`), 'utf8'))?.[1];
}

/** What the first failing seed said; undefined if none failed. */
async function findIn(name: string, range: readonly string[]): Promise<string | undefined> {
  const copy = await mkdtemp(join(tmpdir(), `mutant-${name}-`));
  try {
    for (const part of parts) await cp(join(project, part), join(copy, part), { recursive: true });
    await symlink(join(project, 'node_modules'), join(copy, 'node_modules'));
    const applied = await run('git', ['apply', join(patches, `${name}.patch`)], copy);
    if (applied.code !== 0) throw new Error(`${name}.patch does not apply: make it again\n${applied.said}`);
    const program = join(copy, 'test/simulation/main.ts');
    const { code, said } = await run(process.execPath, [program, ...range, '--stop'], copy);
    // A list of problems begins on the next line.
    const found = /^seed \d+: .*(?:(?<=:)\n.*)?$/m.exec(said)?.[0];
    if (found === undefined && code !== 0) throw new Error(`${name}: the simulation itself failed\n${said}`);
    return found;
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

async function run(
  program: string,
  args: readonly string[],
  cwd: string,
): Promise<{ readonly code: unknown; readonly said: string }> {
  // Inside of a repository, git would look for the files in its root.
  const env = { ...process.env, GIT_CEILING_DIRECTORIES: tmpdir() };
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  return { code, said };
}
