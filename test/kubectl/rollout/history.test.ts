// `kubectl luvm rollout history`.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { ageOf } from '../../../kubectl/age.ts';
import { type HistoryOptions, history } from '../../../kubectl/rollout/history.ts';
import { HastyClock } from '../../support/clocks/hasty-clock.ts';
import {
  listOf,
  machinesPath,
  member,
  revision,
  revisionsPath,
  rolledSet,
  setPath,
  steering,
} from '../../support/kubectl/rolled-set.ts';
import { type StandInAnswer, StandInApi } from '../../support/kubectl/stand-in-api.ts';
import { runAt, StandInTerminal } from '../../support/kubectl/stand-in-terminal.ts';

let api: StandInApi;
let answers: Record<string, StandInAnswer>;
const template = { spec: { memory: { sizeInMB: 1024 } } };
const cause = { 'kubernetes.io/change-cause': 'more memory' };

beforeAll(async () => {
  api = await StandInApi.start(({ path }) => answers[path]);
});
afterAll(() => api[Symbol.asyncDispose]());
beforeEach(() => {
  const foreign = {
    ...revision('web-far', 9, {}),
    metadata: { ...revision('web-far', 9, {}).metadata, ownerReferences: [] },
  };
  answers = {
    [setPath]: { body: rolledSet() },
    [revisionsPath]: listOf([revision('web-new', 4, template, cause), revision('web-old', 3, template), foreign]),
    [machinesPath]: listOf([
      member('web-0', 'web-old', []),
      member('web-1', 'web-old', []),
      member('web-2', 'web-new', []),
    ]),
  };
});

const run = (options: HistoryOptions = {}) =>
  runAt(new StandInTerminal(), api.kubeconfig, (ports) => history('web', options, ports), new HastyClock());

describe('rollout history', () => {
  it('shows each revision with its VMs, age and cause', async () => {
    expect((await run()).stdout.split('\n')).toEqual([
      'REVISION   NAME      VMS   AGE   CHANGE-CAUSE',
      '3          web-old   2     57m   <none>',
      '4          web-new   1     56m   more memory',
      '',
    ]);
  });

  it('says how many VMs have a revision that is not kept', async () => {
    answers[machinesPath] = listOf([member('web-0', 'web-gone', []), member('web-1', 'web-new', [])]);
    expect((await run()).stderr).toBe('1 VM of the set with none of these revisions\n');
  });

  it('shows the template of a revision as YAML, and the revision itself for a program', async () => {
    expect(parse((await run({ revision: 3 })).stdout)).toEqual(template);
    expect(JSON.parse((await run({ revision: 3, output: 'json' })).stdout)).toMatchObject({ revision: 3 });
    expect((await run({ output: 'name' })).stdout).toBe(
      'controllerrevision.apps/web-old\ncontrollerrevision.apps/web-new\n',
    );
  });

  it('shows how the present template would change to become that of a revision', async () => {
    expect((await run({ revision: 3, diff: true })).stdout.split('\n')).toEqual([
      'FIELD                      FROM   TO     NEEDS',
      'template.memory.sizeInMB   2048   1024   live change',
      '',
    ]);
    answers[revisionsPath] = listOf([revision('web-same', 4, rolledSet().spec.template)]);
    expect((await run({ revision: 4, diff: true })).stdout).toBe('The present template is the same.\n');
    expect((await run({ diff: true })).stderr).toContain('--diff needs --revision');
  });

  it('of a revision that does not exist names those that do', async () => {
    const { code, stderr } = await run({ revision: 7 });
    expect([code, stderr]).toEqual([1, 'error: luvmset/web has no revision 7: there are 3, 4\n']);
  });

  it('cannot steer the terminal', async () => {
    const hostile = { 'kubernetes.io/change-cause': '\u001b[2J\n9   web-x' };
    answers[revisionsPath] = listOf([revision('web-new', 4, { spec: { '\u009b': '\u202e' } }, hostile)]);
    expect((await run()).stdout).toContain('\\x1b[2J\\x0a9   web-x');
    const shown = await runAt(new StandInTerminal({ height: 24, width: 80 }), api.kubeconfig, (ports) =>
      history('web', { revision: 4 }, ports),
    );
    expect(shown.stdout).not.toMatch(steering);
  });
});

it('an age has the form that kubectl gives it', () => {
  const ages = [0, 119, 120, 599, 3_600, 3 * 3_600, 8 * 3_600, 2 * 86_400 + 3_600, 9 * 86_400];
  const shown = ages.map((seconds) => ageOf(new Date(0).toISOString(), seconds * 1_000));
  expect(shown).toEqual(['0s', '119s', '2m', '9m59s', '60m', '3h', '8h', '2d1h', '9d']);
  expect(ageOf(undefined, 0)).toBe('<unknown>');
});
