// `kubectl luvm rollout pause`, `resume`, `restart` and `undo`.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CommandPorts } from '../../../kubectl/commands.ts';
import { pause, restart, resume, undo } from '../../../kubectl/rollout/change.ts';
import { HastyClock } from '../../support/clocks/hasty-clock.ts';
import { listOf, revision, revisionsPath, rolledSet, setPath, steering } from '../../support/kubectl/rolled-set.ts';
import { type StandInAnswer, StandInApi } from '../../support/kubectl/stand-in-api.ts';
import { runAt, StandInTerminal } from '../../support/kubectl/stand-in-terminal.ts';

const setsPath = '/apis/lcow.dev/v1alpha1/namespaces/ns/linuxutilityvmsets';
const template = (sizeInMB: number) => ({ spec: { memory: { sizeInMB } } });

let api: StandInApi;
let answers: Record<string, StandInAnswer>;
let patched: StandInAnswer | undefined;

beforeAll(async () => {
  api = await StandInApi.start(({ method, path }) => (method === 'PATCH' && patched) || answers[path]);
});
afterAll(() => api[Symbol.asyncDispose]());
beforeEach(() => {
  api.requests.length = 0;
  patched = undefined;
  answers = {
    [setPath]: { body: rolledSet() },
    [revisionsPath]: listOf([
      revision('web-a', 1, template(512), { 'kubernetes.io/change-cause': 'first' }),
      revision('web-b', 2, template(1024)),
      revision('web-c', 3, template(2048)),
    ]),
  };
});

const run = (command: (ports: CommandPorts) => Promise<number>) =>
  runAt(new StandInTerminal(), api.kubeconfig, command, new HastyClock());
const patches = () =>
  api.requests
    .filter(({ method }) => method === 'PATCH')
    .map(({ body, headers, query }) => [headers['content-type'], query.get('fieldManager'), JSON.parse(body)]);
const merge = (spec: object) => ['application/merge-patch+json', 'kubectl-luvm', { spec }];
const withSet = (changes: Parameters<typeof rolledSet>[0]) => {
  answers[setPath] = { body: rolledSet(changes) };
};

describe('rollout', () => {
  it('pause and resume write spec.update.paused', async () => {
    expect(await run((ports) => pause({ names: ['luvmset/web'] }, ports))).toEqual({
      code: 0,
      stderr: '',
      stdout: 'linuxutilityvmset.lcow.dev/web paused\n',
    });
    expect((await run((ports) => resume({ names: ['web'] }, ports))).stdout).toContain('/web resumed\n');
    expect(patches()).toEqual([merge({ update: { paused: true } }), merge({ update: { paused: null } })]);
  });

  it('restart writes the annotation into the template', async () => {
    const { code, stdout } = await run((ports) => restart({ names: ['web'] }, ports));
    const value = '2026-01-01T12:00:00.000Z';
    expect([code, stdout]).toEqual([0, `linuxutilityvmset.lcow.dev/web restarted (lcow.dev/restartedAt=${value})\n`]);
    expect(patches()).toEqual([merge({ template: { metadata: { annotations: { 'lcow.dev/restartedAt': value } } } })]);
  });

  it('restart is refused where VMs are never restarted', async () => {
    withSet({ spec: { update: { method: 'LiveOnly' } } });
    const { code, stderr } = await run((ports) => restart({ names: ['web'] }, ports));
    expect([code, stderr]).toEqual([1, expect.stringContaining('spec.update.method is LiveOnly')]);
    expect(patches()).toEqual([]);
  });

  it('goes on with the other sets when one cannot be changed, and takes sets by their labels', async () => {
    const { code, stderr, stdout } = await run((ports) => pause({ names: ['nosuch', 'web'] }, ports));
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^error: .*\n$/)]);
    expect(stdout).toContain('/web paused');
    answers[setsPath] = listOf([rolledSet()]);
    const selected = await run((ports) => restart({ names: [], selector: 'app=web', output: 'name' }, ports));
    expect(selected.stdout).toBe('linuxutilityvmset.lcow.dev/web\n');
    const wrong = await run((ports) => pause({ names: ['luvm/web'] }, ports));
    expect(wrong.stderr).toContain('"luvm/web": this command takes sets: NAME, luvmset/NAME or');
  });

  it('says why the VMs do not follow yet, and who else writes the template', async () => {
    withSet({ spec: { update: { paused: true } } });
    expect((await run((ports) => restart({ names: ['web'] }, ports))).stderr).toContain(
      'luvmset/web: paused: the VMs follow after "kubectl luvm rollout resume luvmset/web"',
    );
    withSet({ spec: { update: { type: 'OnDelete' } } });
    expect((await run((ports) => undo({ names: ['web'] }, ports))).stderr).toContain('is OnDelete');
    const owned = [
      { manager: 'other', operation: 'Update' },
      { manager: 'kustomize-controller', fieldsV1: { 'f:spec': { 'f:template': {} } } },
      { manager: 'argocd-controller', fieldsV1: { 'f:spec': { 'f:replicas': {} } } },
    ];
    withSet({ metadata: { managedFields: owned } });
    expect((await run((ports) => undo({ names: ['web'] }, ports))).stderr).toBe(
      'luvmset/web: Flux writes its template, and may take this back: change it in Git, too\n',
    );
    withSet({ metadata: { annotations: { 'argocd.argoproj.io/tracking-id': 'x' } } });
    expect((await run((ports) => restart({ names: ['web'] }, ports))).stderr).toContain('Argo CD writes its template');
  });
});

describe('rollout undo', () => {
  const replace = (sizeInMB: number) => ({ op: 'replace', path: '/spec/template', value: template(sizeInMB) });
  const test = { op: 'test', path: '/metadata/generation', value: 2 };

  it('writes the template of the revision before the present one', async () => {
    const { code, stdout } = await run((ports) => undo({ names: ['web'] }, ports));
    expect([code, stdout]).toEqual([0, 'linuxutilityvmset.lcow.dev/web rolled back to revision 2\n']);
    expect(patches()).toEqual([['application/json-patch+json', 'kubectl-luvm', [test, replace(1024)]]]);
  });

  it('takes back a template that the operator has not stored yet', async () => {
    withSet({ spec: { template: template(4096) } });
    expect((await run((ports) => undo({ names: ['web'] }, ports))).stdout).toContain('rolled back to revision 3');
  });

  it('writes the template of the revision that is asked for, with its cause', async () => {
    await run((ports) => undo({ names: ['web'], toRevision: 1 }, ports));
    const cause = { 'kubernetes.io/change-cause': 'first' };
    const added = { op: 'add', path: '/metadata/annotations', value: cause };
    expect(patches()[0]?.[2]).toEqual([test, replace(512), added]);
    withSet({ metadata: { annotations: { 'kubernetes.io/change-cause': 'third' } } });
    await run((ports) => undo({ names: ['web'], toRevision: 2 }, ports));
    const removed = { op: 'remove', path: '/metadata/annotations/kubernetes.io~1change-cause' };
    expect(patches()[1]?.[2]).toEqual([test, replace(1024), removed]);
  });

  it('writes nothing if the set has that template, whatever defaults the revision lacks', async () => {
    const { code, stdout } = await run((ports) => undo({ names: ['web'], toRevision: 3 }, ports));
    expect([code, stdout]).toEqual([0, expect.stringContaining('not changed: it has the template of revision 3')]);
    withSet({ spec: { template: template(1024) } });
    answers[revisionsPath] = listOf([revision('web-c', 3, { metadata: { labels: {} }, spec: {} })]);
    const only = await run((ports) => undo({ names: ['web'] }, ports));
    expect([only.code, only.stderr]).toEqual([1, 'error: luvmset/web has no earlier revision to go back to\n']);
    expect(patches()).toEqual([]);
  });

  it('does not write over a change that somebody else made meanwhile', async () => {
    patched = { code: 422, body: { kind: 'Status', reason: 'Invalid', message: 'the server rejected our request' } };
    const same = await run((ports) => undo({ names: ['web'] }, ports));
    expect(same.stderr).toBe('error: the server rejected our request\n');
    let reads = 0;
    Object.defineProperty(answers, setPath, {
      get: () => ({ body: rolledSet({ metadata: { generation: reads++ === 0 ? 2 : 3 } }) }),
    });
    const other = await run((ports) => undo({ names: ['web'] }, ports));
    expect([other.code, other.stderr]).toEqual([1, expect.stringContaining('was changed by somebody else meanwhile')]);
  });

  it('cannot steer the terminal', async () => {
    patched = { code: 409, body: { kind: 'Status', message: '\u001b[2J\u202e' } };
    const { stderr } = await run((ports) => undo({ names: ['web'] }, ports));
    expect(stderr).toContain('\\x1b[2J\\u202e');
    expect(stderr).not.toMatch(steering);
  });
});
