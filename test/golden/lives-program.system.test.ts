// `node test/golden/lives.ts FILE…`, which plays recorded lives, as somebody runs it.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { isCall, isHost, type Life, readLives } from './lives/life.ts';

const program = fileURLToPath(new URL('lives.ts', import.meta.url));
const lives = readLives(fileURLToPath(new URL('upstream-lives.json', import.meta.url)));

describe('a file of lives', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lives-'));
  const write = (name: string, text: string) => {
    const file = join(folder, name);
    writeFileSync(file, text);
    return file;
  };
  const run = (...parameters: readonly string[]) =>
    spawnSync(process.execPath, [program, ...parameters], { encoding: 'utf8' });

  it('is named by the program, which then exits with 2', () => {
    const { status, stderr } = run(join(folder, 'none.json'));
    expect({ status, stderr }).toMatchObject({ status: 2, stderr: expect.stringContaining('none.json: ENOENT') });
  });

  it('is played by the program, several at once', () => {
    const [equal] = lives.filter(({ name }) => name === 'create fails, no hypervisor');
    const wrong = lives.filter(isWithoutFrames).slice(0, 1).map(withOtherStart);
    const [one, two] = [write('one.json', JSON.stringify([equal])), write('two.json', JSON.stringify(wrong))];
    expect(run(one)).toMatchObject({
      status: 0,
      stdout: '1 equal, 0 different as documented, 0 unexplained\n',
    });
    const both = run(one, two);
    expect(both.status).toBe(1);
    expect(both.stdout).toContain(`${wrong[0]?.name}\n  args.options of steps.`);
    expect(both.stdout).toMatch(/1 equal, 0 different as documented, 1 unexplained\n$/);
  });

  it('is not needed for the help', () => {
    expect(run('--help')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('usage: node test/golden/lives.ts'),
    });
    expect(run()).toMatchObject({ status: 2, stderr: expect.stringContaining('usage:') });
  });
});

function isWithoutFrames({ steps }: Life): boolean {
  return steps.filter(isCall).some(({ call }) => call === 'HcsStartComputeSystem');
}

function withOtherStart(life: Life): Life {
  const steps = life.steps.map((step) =>
    isHost(step) && 'call' in step && step.call === 'HcsStartComputeSystem'
      ? { ...step, args: { options: 'x' } }
      : step,
  );
  return { ...life, steps };
}
