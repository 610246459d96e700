// `kubectl luvm rollout status`: a line for each change, and how it ends.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RolloutStatusOptions, rolloutStatus } from '../../../kubectl/rollout/status.ts';
import { HastyClock } from '../../support/clocks/hasty-clock.ts';
import {
  condition,
  listOf,
  machinesPath,
  member,
  revision,
  revisionsPath,
  rolledSet,
  setPath,
  steering,
  withDone,
} from '../../support/kubectl/rolled-set.ts';
import { type StandInAnswer, StandInApi } from '../../support/kubectl/stand-in-api.ts';
import { runAt, StandInTerminal } from '../../support/kubectl/stand-in-terminal.ts';

let api: StandInApi;
/** One after another; the last one stays. */
let sets: StandInAnswer[];
let machines: StandInAnswer;
let revisions: StandInAnswer;
const notFound = { code: 404, body: { kind: 'Status', reason: 'NotFound', message: 'not found' } };

beforeAll(async () => {
  api = await StandInApi.start(({ path }) => {
    if (path === setPath) return sets.length > 1 ? sets.shift() : sets[0];
    return path === machinesPath ? machines : path === revisionsPath ? revisions : undefined;
  });
});
afterAll(() => api[Symbol.asyncDispose]());
beforeEach(() => {
  api.requests.length = 0;
  machines = listOf([]);
  revisions = listOf([revision('web-old', 1, {}), revision('web-new', 2, {})]);
});

const follow = (states: readonly object[], options: Partial<RolloutStatusOptions> = {}) => {
  sets = states.map((body) => ({ body }));
  return run(options);
};
const run = (options: Partial<RolloutStatusOptions> = {}) =>
  runAt(
    new StandInTerminal(),
    api.kubeconfig,
    (ports) => rolloutStatus('web', { watch: true, ...options }, ports),
    new HastyClock(),
  );

describe('rollout status', () => {
  it('prints a line for each change, and ends with 0 when the set is rolled out', async () => {
    const unseen = rolledSet({ metadata: { generation: 3 } });
    const states = [unseen, unseen, rolledSet(), rolledSet(), withDone(1, 'web-1 is not available'), withDone(3)];
    expect(await follow(states)).toEqual({
      code: 0,
      stderr: '',
      stdout: [
        'luvmset/web: the operator has not seen the latest change',
        'luvmset/web: 0 of 3 VMs are rolled out (Restart): web-2 is not available',
        'luvmset/web: 1 of 3 VMs are rolled out (Restart): web-1 is not available',
        'luvmset/web: rolled out: 3 of 3 VMs have the revision web-new',
        '',
      ].join('\n'),
    });
  });

  it('does not take the end of the former rollout for that of the latest change', async () => {
    const { status } = withDone(3);
    const former = rolledSet({ metadata: { generation: 3 }, status });
    const { code, stdout } = await follow([former], { watch: false });
    expect([code, stdout]).toEqual([0, 'luvmset/web: the operator has not seen the latest change\n']);
  });

  it('without watching says how far the rollout is, and ends', async () => {
    const { code, stdout } = await follow([rolledSet()], { watch: false });
    expect([code, stdout.split('\n').length]).toEqual([0, 2]);
    expect(api.requests).toHaveLength(1);
  });

  it('ends when as many VMs are rolled out as the partition allows', async () => {
    const status = { ...withDone(1).status, conditions: [condition('Ready', 'True', 'Complete')] };
    const { code, stdout } = await follow([rolledSet({ status })]);
    expect(code).toBe(0);
    expect(stdout).toContain(
      '1 of 3 VMs have the revision web-new, and the others keep theirs (spec.update.partition)',
    );
  });

  it('ends with 1 when the set is paused or updated on deletion, unless all VMs are rolled out', async () => {
    const paused = { update: { type: 'RollingUpdate', paused: true } };
    const first = await follow([rolledSet({ spec: paused })]);
    expect(first.code).toBe(1);
    expect(first.stderr).toContain(
      'error: luvmset/web: paused, with 3 VMs without the present template: "kubectl luvm rollout resume luvmset/web" continues',
    );
    const second = await follow([rolledSet({ spec: { update: { type: 'OnDelete' } } })]);
    expect([second.code, second.stderr]).toEqual([1, expect.stringContaining('delete a VM to have it made again')]);
    expect((await follow([rolledSet({ spec: paused, status: withDone(3).status })])).code).toBe(0);
  });

  it('ends with 1 and the reason when the set stalls, and names the VMs that are not ready', async () => {
    const stalled = condition('Stalled', 'True', 'ProgressDeadlineExceeded', 'no progress for 600 s');
    machines = listOf([
      member('web-0', 'web-old', [condition('Ready', 'False', 'NodeAway', 'its host is away')]),
      member('web-1', 'web-old', [condition('Ready', 'True', 'Running')]),
      member('web-2', 'web-new', [condition('Ready', 'False', 'BootTimeout', 'the guest is silent')]),
      member('web-3', 'web-new', [condition('Ready', 'True', 'Running')], {
        annotations: { 'lcow.dev/restartedAt': 'x' },
      }),
    ]);
    const { code, stderr } = await follow([rolledSet({ status: { conditions: [stalled] } })]);
    expect(code).toBe(1);
    expect(stderr.split('\n')).toEqual([
      'error: luvmset/web: ProgressDeadlineExceeded: no progress for 600 s',
      '  web-2 (new revision): Ready is False since 2026-01-01T11:00:00Z: BootTimeout: the guest is silent',
      '  web-3 (new revision): its agent has not done yet what was written',
      '  web-0 (former revision): Ready is False since 2026-01-01T11:00:00Z: NodeAway: its host is away',
      '',
    ]);
  });

  it('shows the first five VMs of many', async () => {
    const stalled = condition('Stalled', 'True', 'ProgressDeadlineExceeded');
    const bad = [condition('Ready', 'False', 'BootTimeout')];
    machines = listOf(Array.from({ length: 9 }, (_, ordinal) => member(`web-${ordinal}`, 'web-new', bad)));
    const { stderr } = await follow([rolledSet({ status: { conditions: [stalled] } })]);
    expect(stderr).toMatch(/web-4 .*\n {2}4 more VMs\n$/);
  });
});

describe('a canary that cannot become ready', () => {
  const bad = [
    condition('Ready', 'False', 'KernelMissing'),
    condition('Stalled', 'True', 'KernelMissing', 'no kernel'),
  ];
  const halfway = rolledSet({ status: { updatedReplicas: 1 } });

  it('ends the command before the deadline of the set', async () => {
    machines = listOf([member('web-2', 'web-new', bad)]);
    const { code, stderr } = await follow([halfway]);
    expect(code).toBe(1);
    expect(stderr).toBe(
      'error: luvmset/web: stuck: web-2 (new revision): Stalled is True since 2026-01-01T11:00:00Z: KernelMissing: no kernel\n',
    );
    const [query] = api.requests.filter(({ path }) => path === machinesPath).map((request) => request.query);
    expect(query?.get('labelSelector')).toBe('lcow.dev/set=web,lcow.dev/revision=web-new');
  });

  it('is not one whose correction or restart is on its way, nor a VM of another set', async () => {
    const corrected = { generation: 2 };
    const restarted = { annotations: { 'lcow.dev/restartedAt': 'now' } };
    const foreign = { ownerReferences: [] };
    machines = listOf([corrected, restarted, foreign].map((each) => member('web-2', 'web-new', bad, each)));
    expect((await follow([...Array.from({ length: 20 }, () => halfway), withDone(3)])).code).toBe(0);
  });

  it('is found after the deadline only, without the right to see VMs', async () => {
    machines = { code: 403, body: { kind: 'Status', reason: 'Forbidden', message: 'no' } };
    const { code, stderr } = await follow([halfway], { timeoutMilliseconds: 60_000 });
    expect(code).toBe(1);
    expect(stderr).toBe(
      'error: luvmset/web: timed out: 0 of 3 VMs are rolled out (Restart): web-2 is not available\n  the VMs cannot be read: no\n',
    );
  });
});

describe('a set that is followed', () => {
  it('and is unknown or deleted is an error that says what to do', async () => {
    sets = [notFound];
    expect((await run()).stderr).toBe(
      'error: the namespace "ns" has no set "web": "kubectl get luvmset -A" shows all sets, and -n selects another namespace\n',
    );
    sets = [{ body: rolledSet() }, notFound];
    expect((await run()).stderr).toBe('error: luvmset/web was deleted while its rollout was followed\n');
    const other = rolledSet({ metadata: { uid: 'other' } });
    expect((await follow([rolledSet(), other])).stderr).toContain('deleted and made again');
    const deleted = rolledSet({ metadata: { deletionTimestamp: '2026-01-01T12:00:00Z' } });
    expect((await follow([deleted])).stderr).toContain('it is being deleted');
    sets = [{ code: 404, body: '404 page not found' }];
    expect((await run()).stderr).toContain('install the CRDs of lcow-operator');
  });

  it('outlives a restart of the API server, but not the time-out', async () => {
    const away = { code: 503, body: { kind: 'Status', message: 'restarting' } };
    sets = [away, away, { body: withDone(3) }];
    const { code, stderr } = await run();
    expect([code, stderr]).toEqual([0, '[restarting; trying again]\n']);
    sets = [away];
    expect((await run({ timeoutMilliseconds: 5_000 })).stderr).toContain('error: luvmset/web: timed out: restarting');
  });

  it('has the revision that is asked for, or the command ends', async () => {
    expect((await follow([withDone(3)], { revision: 2 })).code).toBe(0);
    const { code, stderr } = await follow([withDone(3)], { revision: 1 });
    expect(code).toBe(1);
    expect(stderr).toContain(
      'the present revision is 2, and not 1: "kubectl luvm rollout history luvmset/web" shows all',
    );
  });

  it('cannot steer the terminal', async () => {
    const text = '\u001b[2J\u202e\nluvmset/web: rolled out';
    machines = listOf([member('web-2', 'web-new', [condition('Ready', 'False', 'Bad', text)])]);
    const stalled = condition('Stalled', 'True', 'NameConflict', text);
    const states = [
      rolledSet({ status: { rollout: { waitingFor: text } } }),
      rolledSet({ status: { conditions: [stalled] } }),
    ];
    const { stderr, stdout } = await follow(states);
    for (const shown of [stdout, stderr]) {
      expect(shown).toContain('\\x1b[2J\\u202e\\x0aluvmset/web: rolled out');
      expect(shown).not.toMatch(steering);
      expect(shown).not.toMatch(/^luvmset\/web: rolled out/m);
    }
  });
});
