// Pages whose commands are run: the commands at a prompt, and whether their output matches the page.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';

export interface Step {
  readonly command: string;
  readonly output: string;
}

export interface Shell {
  readonly folder: string;
  readonly environment: NodeJS.ProcessEnv;
}

const patience = 60_000;
const pause = 250;

/** YAML blocks that begin with the name of their file. */
export function filesOf(page: string): readonly (readonly [string, string])[] {
  const blocks = page.matchAll(/^```yaml\n# (\S+)\n([\s\S]*?)^```$/gm);
  return [...blocks].map(([, name = '', content = '']) => [name, content] as const);
}

/** From blocks that begin with a prompt. */
export function stepsOf(page: string): readonly Step[] {
  const blocks = [...page.matchAll(/^```(?:console)?\n(\$ [\s\S]*?)^```$/gm)].map(([, block = '']) => block);
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((step) => {
        const [command = '', ...output] = step.split('\n');
        return { command, output: output.join('\n').trim() };
      }),
  );
}

/**
 * `…` matches anything, and several lines when it is alone on a line. The width of columns depends on their content;
 * ages and times are from the day on which the page was written.
 */
export function patternOf(output: string): RegExp {
  const escaped = output.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&').replaceAll(/ {2,}/g, ' +');
  const lines = escaped
    .replaceAll(/\b\d{4}-\d\d-\d\dT[\d:]+\\\.\d+Z/g, '\\S+Z')
    .replaceAll(/ \+\d+s\b/g, ' +\\w+')
    .replaceAll(/^…\n?/gm, '[\\s\\S]*')
    .replaceAll('…', '.*');
  return new RegExp(`^${lines}$`);
}

/** A cluster needs time: output that does not match yet may match in a moment. */
export async function follow({ command, output }: Step, shell: Shell): Promise<void> {
  const expected = patternOf(output);
  const deadline = Date.now() + patience;
  let said = await run(command, shell);
  while (!expected.test(said) && Date.now() < deadline) {
    await delay(pause);
    said = await run(command, shell);
  }
  expect(said).toMatch(expected);
}

/** Returns both output streams together, as a terminal shows them. */
export async function run(command: string, { folder, environment }: Shell): Promise<string> {
  const child = spawn('bash', ['-c', `${command} 2>&1`], {
    cwd: folder,
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = await Promise.all([text(child.stdout), once(child, 'close')]);
  return said
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
    .trim();
}
