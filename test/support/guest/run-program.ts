// Runs a set-up program to its end.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface RunOptions {
  readonly folder?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** Returns the program's standard output. Rejects with its error output when it fails, or when it does not exist. */
export async function runProgram(
  program: string,
  args: readonly string[],
  { environment, folder }: RunOptions = {},
): Promise<string> {
  const child = spawn(program, args, {
    cwd: folder,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output: string[] = [];
  const said: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => output.push(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => said.push(text));
  const [code] = await once(child, 'close').catch((error: unknown) => {
    throw new Error(`${program} cannot be run`, { cause: error });
  });
  if (code === 0) return output.join('');
  const last = [...output, ...said].join('').trim().split('\n').slice(-15).join('\n');
  throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${last}`);
}
