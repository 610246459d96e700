// BuildKit's checks of Dockerfiles, as a Go program that is built once per machine in a minute. Go's own cache knows
// when it is stale.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { cacheFolder } from '../support/cache-folder.ts';

const sources = fileURLToPath(new URL('./linter/', import.meta.url));
const program = join(cacheFolder, 'dockerfile-linter');
const findings = z.array(z.object({ rule: z.string(), message: z.string(), line: z.int() }));

export async function buildLinter(): Promise<void> {
  const environment = { ...process.env, CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '' };
  await output('go', ['build', '-trimpath', '-ldflags=-s -w', '-o', program, '.'], { cwd: sources, env: environment });
}

/** The warnings and errors of BuildKit. */
export async function lintDockerfile(dockerfile: string): Promise<z.infer<typeof findings>> {
  return findings.parse(JSON.parse(await output(program, [], { input: dockerfile })));
}

async function output(
  command: string,
  args: readonly string[],
  { cwd, env, input = '' }: { cwd?: string; env?: NodeJS.ProcessEnv; input?: string },
): Promise<string> {
  const child = spawn(command, args, { cwd, env, stdio: 'pipe' });
  child.stdin.end(input);
  const [said, complaint, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  if (code !== 0) throw new Error(`${command} failed (${code}): ${complaint}`);
  return said;
}
