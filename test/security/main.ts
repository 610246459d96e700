// `npm run test:security [-- <attack>...]` starts a whole system, attacks it, and prints a line for each attack. The
// exit code is 1 if a promise was broken. `--help` lists the attacks.
import { parseArgs } from 'node:util';
import { attacks } from './all-attacks.ts';
import { type Attack, broken, type Finding } from './attack.ts';
import { startTarget } from './target.ts';

const help = `Usage: npm run test:security [-- <attack>...]

Starts a whole system and attacks it as a namespace editor, one node's agent, a guest and a stranger would.

Attacks, all unless some are named:
${attacks.map(({ name, party, promise }) => `  ${name}\n      (${party}) ${promise}`).join('\n')}
`;

const { values, positionals } = parseArgs({ allowPositionals: true, options: { help: { type: 'boolean' } } });

if (values.help === true) process.stdout.write(help);
else process.exitCode = await attack(chosen(positionals));

function chosen(names: readonly string[]): readonly Attack[] {
  const unknown = names.filter((name) => !attacks.some((each) => each.name === name));
  if (unknown.length > 0) throw new Error(`no such attack: ${unknown.join(', ')}; --help lists them`);
  return names.length === 0 ? attacks : attacks.filter(({ name }) => names.includes(name));
}

async function attack(selected: readonly Attack[]): Promise<number> {
  await using target = await startTarget();
  let brokenPromises = 0;
  for (const each of selected) {
    const finding = await each.run(target).catch((error: unknown): Finding => broken(String(error)));
    process.stdout.write(`${finding.held ? 'held  ' : 'BROKEN'}  ${each.name}: ${finding.figure}\n`);
    if (!finding.held) brokenPromises += 1;
  }
  process.stdout.write(`${selected.length - brokenPromises} passed, ${brokenPromises} failed\n`);
  return brokenPromises === 0 ? 0 : 1;
}
