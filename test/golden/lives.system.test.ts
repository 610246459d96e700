// The recorded lives of the original against this agent; and that whoever plays them notices what differs.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { compare } from './lives/comparison.ts';
import { documentedPoints } from './lives/documented.ts';
import { judge } from './lives/judgement.ts';
import { type HostStep, type Life, readLives } from './lives/life.ts';
import { type Played, play } from './lives/player.ts';
import { rules } from './lives/rules.ts';
import { variations } from './lives/variations.ts';
import { details, judgeLives, summary, type Verdict } from './lives.ts';

const recorded = fileURLToPath(new URL('upstream-lives.json', import.meta.url));
const lives = readLives(recorded);
const documented = documentedPoints();

function lifeNamed(name: string): Life {
  const found = lives.find((life) => life.name === name);
  if (found === undefined) throw new Error(`no life is called ${name}`);
  return found;
}

describe('the recorded lives', () => {
  let verdicts: readonly Verdict[] = [];
  beforeAll(async () => {
    verdicts = await judgeLives(lives);
  });

  it('are all there', () => {
    expect(verdicts).toHaveLength(64);
  });

  it('have no difference that is not documented', () => {
    expect(verdicts.flatMap(details)).toEqual([]);
    expect(summary(verdicts)).toMatch(/^\d+ equal, \d+ different as documented, 0 unexplained$/);
  });

  it('come out the same again', async () => {
    const [first] = lives;
    if (first === undefined) throw new Error('there is no life');
    expect((await play(first)).steps).toEqual((await play(first)).steps);
  });
});

describe('the documented points', () => {
  it('are those of the rules', () => {
    const points = new Set(rules.map(({ point }) => point));
    expect([...points].sort()).toEqual([...documented.keys()].sort());
  });

  it('are each come to by a life, and by no life with other differences', async () => {
    const made = variations(lives);
    const verdicts = await judgeLives([...lives, ...made.values()]);
    expect(verdicts.flatMap(details)).toEqual([]);
    const points = new Set(verdicts.flatMap((verdict) => [...verdict.points]));
    expect([...points].sort()).toEqual([...documented.keys()].sort());
  });

  it('are missed where one has no row', async () => {
    const life = lifeNamed('dump stacks');
    const less = new Map([...documented].filter(([point]) => point !== 'event-options'));
    const judgement = judge(compare(life, await play(life)), less);
    expect(judgement).toMatchObject({ verdict: 'unexplained', undocumented: ['event-options'] });
  });
});

describe('a deviation of this agent', () => {
  const life = lifeNamed('plan9: add, remove');
  let played: Played;
  beforeAll(async () => {
    played = await play(life);
  });

  function unexplained(steps: readonly HostStep[]): readonly string[] {
    const { unexplained: found } = judge(compare(life, { ...played, steps }), documented);
    return found.map(({ kind }) => kind);
  }

  /** The first step of that name, in other words. */
  function changed(call: string, change: (step: HostStep) => HostStep): readonly HostStep[] {
    const place = played.steps.findIndex((step) => ('call' in step ? step.call : step.frame) === call);
    expect(place).toBeGreaterThanOrEqual(0);
    return played.steps.map((step, index) => (index === place ? change(step) : step));
  }

  it('is none as long as nothing is changed', () => {
    expect(unexplained(played.steps)).toEqual([]);
  });

  it('is noticed in a document', () => {
    const steps = changed('HcsModifyComputeSystem', (step) =>
      'call' in step ? { ...step, args: { configuration: `${step.args['configuration']} ` } } : step,
    );
    expect(unexplained(steps)).toEqual(['field']);
  });

  it('is noticed in a message to the guest', () => {
    const steps = changed('ModifySettings', (step) =>
      'frame' in step ? { ...step, payload: step.payload.replace('"Port":564', '"Port":565') } : step,
    );
    expect(unexplained(steps)).toEqual(['field']);
  });

  it('is noticed when something is not done', () => {
    const isStart = (step: HostStep) => 'call' in step && step.call === 'HcsStartComputeSystem';
    expect(unexplained(played.steps.filter((step) => !isStart(step)))).toContain('missing');
  });

  it('is noticed when something is done twice', () => {
    const steps = played.steps.flatMap((step) => ('frame' in step && step.id === 1 ? [step, step] : [step]));
    expect(unexplained(steps)).toEqual(['extra']);
  });

  it('is noticed in the order of host and guest', () => {
    const [one, other] = ['HcsModifyComputeSystem', 'ModifySettings'].map((name) =>
      played.steps.findIndex((step) => ('call' in step ? step.call : step.frame) === name),
    );
    const swapped = played.steps.map((step, index) => {
      const place = index === one ? other : index === other ? one : index;
      return played.steps[place ?? index] ?? step;
    });
    expect(unexplained(swapped)).toContain('order');
  });

  it('is noticed when a listener is left open', () => {
    const isLast = (step: HostStep) =>
      'call' in step && step.call === 'closeListener' && step.args['port'] === 1_073_741_824;
    expect(unexplained(played.steps.filter((step) => !isLast(step)))).toContain('left');
  });

  it('is noticed in what the caller gets', () => {
    const returned = played.returned.map((each) =>
      each.call === 'removePlan9' ? { ...each, outcome: { ok: false, code: '0x80004005' } } : each,
    );
    const { unexplained: found } = judge(compare(life, { ...played, returned }), documented);
    expect(found.map(({ kind }) => kind)).toEqual(['outcome']);
  });
});

describe('a life with other inputs', () => {
  it('is played by the same rules', async () => {
    // Folder, mount point and file of the host.
    const text = JSON.stringify([lifeNamed('plan9: add, remove')]).replaceAll('share', 'other');
    const file = join(mkdtempSync(join(tmpdir(), 'lives-')), 'other.json');
    writeFileSync(file, text);
    const [verdict] = await judgeLives(readLives(file));
    expect(verdict).toMatchObject({ verdict: 'documented', unexplained: [] });
  });
});

describe('a file of lives', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lives-'));
  const write = (name: string, text: string) => {
    const file = join(folder, name);
    writeFileSync(file, text);
    return file;
  };
  const [life] = lives;

  it('may be an array or have one life a line', () => {
    expect(readLives(write('array.json', JSON.stringify([life])))).toHaveLength(1);
    expect(readLives(write('lines.jsonl', `${JSON.stringify(life)}\n`))).toHaveLength(1);
  });

  it.each([
    ['an unknown member', { ...life, color: 'blue' }, 'the whole: Unrecognized key: "color"'],
    ['an unknown party', { ...life, steps: [{ by: 'nobody' }] }, 'steps.0.by: must be one of: setup, caller, host'],
    [
      'a call without what it needs',
      { ...life, steps: [{ by: 'caller', call: 'addVPMem' }] },
      'steps.0.args.hostPath: ',
    ],
    ['a code that is none', { ...life, steps: [{ by: 'hcs', event: '1', data: null }] }, 'steps.0.event: must be 0x'],
    ['a step that says nothing', { ...life, steps: [{ by: 'hcs' }] }, 'steps.0: must be one of: a member event'],
    ['an order of what is not there', { ...life, unordered: [[0, 9999]] }, 'unordered.0: there are'],
  ])('with %s is refused with the life and the field', (_what, wrong, message) => {
    const file = write('wrong.json', JSON.stringify([wrong]));
    expect(() => readLives(file)).toThrow(`${file}: life '${life?.name}', ${message}`);
  });

  it('is refused when two lives have one name', () => {
    expect(() => readLives(write('twice.json', JSON.stringify([life, life])))).toThrow('name: is there twice');
  });

  it.each([
    ['an option that no manifest has', { options: { Magic: true } }, `life '${life?.name}', options`],
    ['a call that is not known', { steps: [{ by: 'caller', call: 'dance' }] }, `life '${life?.name}', steps.0.call: `],
  ])('with %s has a life that cannot be played', async (_what, change, message) => {
    const wrong = readLives(write('unplayed.json', JSON.stringify([{ ...life, ...change, unordered: [] }])));
    const [verdict] = await judgeLives(wrong);
    expect(verdict).toMatchObject({ verdict: 'unexplained', failure: expect.stringContaining(message) });
  });
});
