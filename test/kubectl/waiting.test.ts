import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Goal } from '../../kubectl/waiting/goals.ts';
import { judge, waitedMachine } from '../../kubectl/waiting/judgement.ts';
import { wait } from '../../kubectl/waiting/wait.ts';
import { HastyClock } from '../support/clocks/hasty-clock.ts';
import { type StandInAnswer, StandInApi } from '../support/kubectl/stand-in-api.ts';
import { runAt, StandInTerminal } from '../support/kubectl/stand-in-terminal.ts';

const lastTransitionTime = '2026-11-30T12:00:00Z';
const condition = (type: string, status: string, reason: string, message = 'why') => ({
  ...{ type, status, reason, message, lastTransitionTime },
});
const running = { phase: 'Running', observedGeneration: 1, conditions: [condition('Ready', 'True', 'Running')] };
const starting = { phase: 'Starting', observedGeneration: 1, conditions: [condition('Ready', 'False', 'Starting')] };
const halted = { phase: 'Stopped', observedGeneration: 1, conditions: [condition('Ready', 'True', 'Halted')] };
const completed = { phase: 'Stopped', observedGeneration: 1, conditions: [condition('Ready', 'True', 'Completed')] };
const stalled = {
  ...{ phase: 'Pending', observedGeneration: 1 },
  conditions: [
    condition('Ready', 'False', 'BootFileNotFound'),
    condition('Stalled', 'True', 'BootFileNotFound', 'no vmlinux'),
  ],
};
const vm = (status: object, metadata: object = {}) => ({
  metadata: { name: 'web', uid: 'u1', generation: 1, ...metadata },
  status,
});

describe('the judgement', () => {
  it.each<[string, object, Record<Goal, string>]>([
    ['unseen', vm({}), { ready: 'Waiting', halted: 'Waiting', completed: 'Waiting', deleted: 'Waiting' }],
    ['running', vm(running), { ready: 'There', halted: 'Waiting', completed: 'Waiting', deleted: 'Waiting' }],
    ['starting', vm(starting), { ready: 'Waiting', halted: 'Waiting', completed: 'Waiting', deleted: 'Waiting' }],
    ['halted', vm(halted), { ready: 'Never', halted: 'There', completed: 'Never', deleted: 'Waiting' }],
    ['completed', vm(completed), { ready: 'Never', halted: 'Never', completed: 'There', deleted: 'Waiting' }],
    ['stalled', vm(stalled), { ready: 'Never', halted: 'Never', completed: 'Never', deleted: 'Waiting' }],
    [
      'being deleted',
      vm(running, { deletionTimestamp: lastTransitionTime }),
      { ready: 'Never', halted: 'Never', completed: 'Never', deleted: 'Waiting' },
    ],
    [
      'changed, but not seen to',
      vm(running, { generation: 2 }),
      { ready: 'Waiting', halted: 'Waiting', completed: 'Waiting', deleted: 'Waiting' },
    ],
    [
      'to be restarted',
      vm(running, { annotations: { 'lcow.dev/restartedAt': 'now' } }),
      { ready: 'Waiting', halted: 'Waiting', completed: 'Waiting', deleted: 'Waiting' },
    ],
    [
      'restarted',
      vm({ ...running, restartedAt: 'now' }, { annotations: { 'lcow.dev/restartedAt': 'now' } }),
      { ready: 'There', halted: 'Waiting', completed: 'Waiting', deleted: 'Waiting' },
    ],
  ])('of a VM that is %s', (_, object, expected) => {
    const judged = Object.fromEntries(
      Object.keys(expected).map((goal) => [goal, judge(waitedMachine.parse(object), goal as Goal).kind]),
    );
    expect(judged).toEqual(expected);
  });
});

describe('kubectl luvm wait', () => {
  const path = '/apis/lcow.dev/v1alpha1/namespaces/ns/linuxutilityvms';
  /** The answers to a path, one after another; the last one stays. */
  let answers: Record<string, (StandInAnswer | undefined)[]>;
  let api: StandInApi;

  beforeEach(async () => {
    answers = {};
    api = await StandInApi.start(({ path: asked }) => {
      const left = answers[asked] ?? [];
      return left.length > 1 ? left.shift() : left[0];
    });
  });
  afterEach(() => api[Symbol.asyncDispose]());

  const objects = (...bodies: (object | undefined)[]) => bodies.map((body) => body && { body });
  const waitFor = (goal: Goal, names: readonly string[], timeoutMilliseconds?: number, selector?: string) =>
    runAt(
      new StandInTerminal(),
      api.kubeconfig,
      (ports) => wait({ goal, names, selector, timeoutMilliseconds }, ports),
      new HastyClock(),
    );

  it('ends with a line for each VM once all are there', async () => {
    answers[`${path}/web`] = objects(vm(starting), vm(running));
    answers[`${path}/db`] = objects(vm(running, { name: 'db' }));
    const { code, stdout, stderr } = await waitFor('ready', ['web', 'luvm/db']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe('luvm/db is ready\nluvm/web is ready\n');
  });

  it('ends with the reason of a VM that cannot get there, and still waits for the others', async () => {
    answers[`${path}/bad`] = objects(vm(stalled, { name: 'bad' }));
    answers[`${path}/web`] = objects(vm(starting), vm(starting), vm(running));
    expect(await waitFor('ready', ['bad', 'web'])).toEqual({
      code: 1,
      stdout: 'luvm/web is ready\n',
      stderr: 'error: luvm/bad will not be ready: BootFileNotFound: no vmlinux\n',
    });
  });

  it('notices that a VM is gone, or another one', async () => {
    answers[`${path}/web`] = objects(vm(running), vm(starting, { uid: 'u2' }));
    expect(await waitFor('deleted', ['web'])).toMatchObject({ code: 0, stdout: 'luvm/web is deleted\n' });
    answers[`${path}/web`] = objects(vm(starting), undefined);
    expect((await waitFor('ready', ['web'])).stderr).toContain('will not be ready: there is no such VM');
    answers[`${path}/web`] = objects(vm(starting), vm(running, { uid: 'u2' }));
    expect((await waitFor('ready', ['web'])).stderr).toContain('will not be ready: it was deleted and made again');
  });

  it('gives up in time, with the reason of each VM', async () => {
    answers[`${path}/web`] = objects(vm(starting));
    const { code, stderr } = await waitFor('ready', ['web'], 3_000);
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'error: luvm/web is not ready in time: Starting: why\n' });
    expect(api.requests.length).toBeLessThan(8);
  });

  it('goes on while the API server is away', async () => {
    answers[`${path}/web`] = [{ body: vm(starting) }, { code: 503, body: 'away' }, { body: vm(running) }];
    const { code, stderr } = await waitFor('ready', ['web']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '[away; trying again]\n' });
  });

  it('asks for all that a selector selects at once', async () => {
    const many = Array.from({ length: 40 }, (_, index) => vm(running, { name: `web-${index}` }));
    const list = (items: readonly object[]) => ({ body: { metadata: { resourceVersion: '1' }, items } });
    answers[path] = [list(many), list([vm(starting, { name: 'web-0' }), ...many.slice(1)]), list(many)];
    expect(await waitFor('ready', [], undefined, 'app=web')).toMatchObject({ code: 0 });
    expect(api.requests).toHaveLength(3);
  });
});
