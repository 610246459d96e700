// `kubectl luvm rollout plan`: what a manifest would do, before it does it.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { threeWayPatch } from '../../../kubectl/rollout/merge-patch.ts';
import { type PlanOptions, rolloutPlan } from '../../../kubectl/rollout/plan.ts';
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
} from '../../support/kubectl/rolled-set.ts';
import { type StandInAnswer, StandInApi } from '../../support/kubectl/stand-in-api.ts';
import { runAt, StandInTerminal } from '../../support/kubectl/stand-in-terminal.ts';

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';
const manifest = (spec: object = {}, metadata: object = {}) => ({
  apiVersion: 'lcow.dev/v1alpha1',
  kind: 'LinuxUtilityVMSet',
  metadata: { name: 'web', ...metadata },
  spec,
});
const template = { spec: { memory: { sizeInMB: 2048 } } };
const up = [condition('Ready', 'True', 'Running')];
const running = (name: string) => {
  const { status, ...rest } = member(name, 'web-a', up);
  return { ...rest, spec: template.spec, status: { ...status, readyRevision: 'web-a' } };
};

let api: StandInApi;
let answers: Record<string, StandInAnswer>;
/** The set as the API server would store it. */
let dryRun: StandInAnswer;

beforeAll(async () => {
  api = await StandInApi.start(({ method, path }) => (method === 'PATCH' ? dryRun : answers[path]));
});
afterAll(() => api[Symbol.asyncDispose]());
beforeEach(() => {
  api.requests.length = 0;
  answers = {
    [setPath]: { body: rolledSet() },
    [revisionsPath]: listOf([revision('web-a', 1, template)]),
    [machinesPath]: listOf(['web-0', 'web-1', 'web-2'].map(running)),
  };
  dryRun = { body: rolledSet() };
});

const becomes = (spec: object) => {
  dryRun = { body: rolledSet({ spec: { ...rolledSet().spec, ...spec } }) };
};
const templateWith = (spec: object, metadata: object = {}) => ({
  template: { metadata, spec: { ...template.spec, ...spec } },
});
const run = (options: Partial<PlanOptions> = {}, text: string = JSON.stringify(manifest())) =>
  runAt(
    new StandInTerminal(),
    api.kubeconfig,
    (ports) =>
      rolloutPlan(
        {
          ...{ file: 'f.yaml', serverSide: false, fieldManager: 'kubectl', forceConflicts: false },
          readFile: async () => text,
          ...options,
        },
        ports,
      ),
    new HastyClock(),
  );
const lines = async () => (await run()).stdout.trimEnd().split('\n');

describe('rollout plan', () => {
  it('shows what each changed field needs, how many VMs change, and in which order', async () => {
    becomes({ ...templateWith({ memory: { sizeInMB: 4096 }, processor: { count: 4 } }), maxUnavailable: 2 });
    expect(await lines()).toEqual([
      'luvmset/web: 3 changed fields.',
      '',
      'FIELD                      FROM     TO     NEEDS',
      'template.memory.sizeInMB   2048     4096   live change',
      expect.stringMatching(/^template\.processor\.count +\S+ +4 +restart$/),
      expect.stringMatching(/^maxUnavailable +<none> +2 +-$/),
      '',
      '1. 3 VMs changed while running, as far as that can be, at most 1 at a time (maxParallelLive): web-2, web-1, web-0',
      '2. 3 VMs restarted, while at most 2 are unavailable (maxUnavailable): web-2, web-1, web-0',
    ]);
  });

  it('says that nothing changes', async () => {
    expect(await lines()).toEqual(['luvmset/web does not change.', 'No VM changes.']);
  });

  it('counts labels and annotations as live changes, and the restart annotation as a restart', async () => {
    becomes(templateWith({}, { labels: { 'a.b/c': 'x' } }));
    expect((await run()).stdout).toMatch(
      /metadata\.labels\[a\.b\/c\] +<none> +"x" +live change[\s\S]*1\. 3 VMs changed while running,/,
    );
    becomes(templateWith({}, { annotations: { 'lcow.dev/restartedAt': 'now' } }));
    expect((await run()).stdout).toMatch(/lcow\.dev\/restartedAt\] +<none> +"now" +restart[\s\S]*1\. 3 VMs restarted,/);
  });

  it.each([
    ['LiveOrRecreate', 'recreation', '1. 3 VMs replaced by new VMs, while at most 1 are unavailable'],
    ['LiveOrRestart', 'next placement', '1. 3 VMs changed while running'],
  ])('with the method %s a placement needs: %s', async (method, need, step) => {
    const changed = { ...templateWith({ nodeSelector: { rack: '1' } }), update: { method } };
    becomes(changed);
    expect((await run()).stdout).toMatch(new RegExp(`nodeSelector .* ${need}\n`));
    expect((await run()).stdout).toContain(step);
  });

  it('scales, and says which VMs are not available now', async () => {
    const [first = running('web-0'), second = running('web-1')] = ['web-0', 'web-1'].map(running);
    const broken = {
      ...second,
      status: { observedGeneration: 1, conditions: [condition('Ready', 'False', 'BootTimeout')] },
    };
    answers[machinesPath] = listOf([first, broken, running('web-9')]);
    becomes({ ...templateWith({ processor: { count: 4 } }), replicas: 3 });
    expect((await lines()).slice(-4)).toEqual([
      '1. 1 VM deleted: web-9',
      '2. 1 VM made: web-2',
      '3. 1 VM restarted at once, because not available now: web-1',
      '4. 1 VM restarted, while at most 1 are unavailable (maxUnavailable, of which 2 are now): web-0',
    ]);
  });

  it('says which VMs keep their revision', async () => {
    const changed = templateWith({ processor: { count: 4 } });
    becomes({ ...changed, update: { partition: 2 } });
    expect((await lines()).at(-1)).toBe('2 VMs without the present template for now (spec.update.partition)');
    becomes({ ...changed, update: { paused: true } });
    expect((await lines()).at(-1)).toBe('3 VMs without the present template for now (spec.update.paused)');
    becomes({ ...changed, update: { type: 'OnDelete' } });
    expect((await lines()).at(-1)).toContain('spec.update.type OnDelete');
  });

  it('ends with 1 where the set would stall', async () => {
    becomes({ ...templateWith({ processor: { count: 4 } }), update: { method: 'LiveOnly' } });
    const refused = await run();
    expect(refused.code).toBe(1);
    expect(refused.stdout).toContain(
      'The set stalls: the method LiveOnly allows no restart (LiveChangeRefused) of web-2,',
    );
    becomes(templateWith({ console: { pipe: '\\\\.\\pipe\\same' } }));
    const shared = await run();
    expect([shared.code, shared.stdout]).toEqual([
      1,
      expect.stringContaining('TemplateInvalid: web-0 and web-1 would share'),
    ]);
    becomes({ ordinals: { reserved: ['9-7'] } });
    expect((await run()).stdout).toContain('OrdinalsInvalid');
  });

  it('of a new set is that its VMs are made', async () => {
    answers[setPath] = { code: 404, body: { kind: 'Status', reason: 'NotFound', message: 'no' } };
    const { code, stdout } = await run();
    expect([code, stdout]).toEqual([0, 'luvmset/web is new.\n1. 3 VMs made: web-0, web-1, web-2\n']);
  });

  it('is written for programs', async () => {
    becomes(templateWith({ processor: { count: 4 } }));
    const json = JSON.parse((await run({ output: 'json' })).stdout);
    expect(json).toMatchObject({
      set: 'web',
      template: [{ path: 'processor.count', to: 4, needs: 'restart' }],
      steps: [{ kind: 'Restart', isBounded: true, names: ['web-2', 'web-1', 'web-0'] }],
    });
    expect(parse((await run({ output: 'yaml' })).stdout)).toEqual(json);
  });
});

describe('the manifest of a plan', () => {
  const patches = () => api.requests.filter(({ method }) => method === 'PATCH');

  it('is only tried, in the way of kubectl apply', async () => {
    const former = JSON.stringify(manifest({ replicas: 5, minReadySeconds: 3, template }));
    const annotations = { [lastApplied]: former };
    const spec = { ...rolledSet().spec, minReadySeconds: 3 };
    answers[setPath] = { body: rolledSet({ spec, metadata: { annotations } }) };
    await run({}, JSON.stringify(manifest({ template: { spec: { memory: { sizeInMB: 1 } } } })));
    const [request] = patches();
    expect(request?.query.get('dryRun')).toBe('All');
    expect(request?.headers['content-type']).toBe('application/merge-patch+json');
    expect(JSON.parse(request?.body ?? '')).toEqual({
      spec: { replicas: null, minReadySeconds: null, template: { spec: { memory: { sizeInMB: 1 } } } },
    });
  });

  it('is tried in the way of kubectl apply --server-side, whose conflicts are errors', async () => {
    await run({ serverSide: true, fieldManager: 'flux' });
    const [request] = patches();
    expect(request?.headers['content-type']).toBe('application/apply-patch+yaml');
    expect([request?.query.get('dryRun'), request?.query.get('fieldManager'), request?.query.get('force')]).toEqual([
      'All',
      'flux',
      null,
    ]);
    dryRun = { code: 409, body: { kind: 'Status', reason: 'Conflict', message: 'conflict with "hpa"' } };
    const { code, stderr } = await run({ serverSide: true });
    expect([code, stderr]).toEqual([1, expect.stringContaining('conflict with "hpa": --force-conflicts')]);
  });

  it('is found among other manifests, and in the input', async () => {
    const text = `apiVersion: v1\nkind: ConfigMap\n---\n${JSON.stringify({ kind: 'List', items: [manifest()] })}\n`;
    expect((await run({}, text)).code).toBe(0);
    const terminal = new StandInTerminal();
    terminal.input.end(text);
    const options = { file: '-', serverSide: false, fieldManager: 'kubectl', forceConflicts: false };
    const readFile = () => Promise.reject(new Error('no file'));
    const { code } = await runAt(terminal, api.kubeconfig, (ports) => rolloutPlan({ ...options, readFile }, ports));
    expect(code).toBe(0);
  });

  it.each([
    ['without a set', 'kind: ConfigMap', 'f.yaml has no LinuxUtilityVMSet of lcow.dev/v1alpha1'],
    ['that is no YAML', 'a: [', 'f.yaml: '],
    ['of another version', 'kind: LinuxUtilityVMSet\napiVersion: x', 'f.yaml: '],
    ['that is empty', '', 'f.yaml has no LinuxUtilityVMSet'],
  ])('%s is an error', async (_, text, message) => {
    const { code, stderr } = await run({}, text);
    expect([code, stderr]).toEqual([1, expect.stringContaining(`error: ${message}`)]);
  });

  it('cannot name another namespace than the flag', async () => {
    const text = JSON.stringify(manifest({}, { namespace: 'b' }));
    expect((await run({ namespace: 'a' }, text)).stderr).toContain('names the namespace "b", and -n "a"');
  });

  it('cannot steer the terminal', async () => {
    becomes(templateWith({ boot: { kernelOptions: '\u001b[2J\u202e\n' } }, { labels: { '\u009b': '\u2066' } }));
    const { stdout } = await run();
    expect(stdout).toContain('\\u202e');
    expect(stdout).not.toMatch(steering);
  });
});

describe('a three-way patch', () => {
  it('removes what was applied and is not wanted any more, and keeps what others wrote', () => {
    const present = { a: 1, b: { c: 2, other: 3 }, list: [1], same: { x: 1 } };
    const applied = { a: 1, b: { c: 2 }, gone: 1, list: [1] };
    expect(threeWayPatch(applied, { b: { d: 4 }, list: [2], same: { x: 1 } }, present)).toEqual({
      a: null,
      b: { c: null, d: 4 },
      list: [2],
    });
  });
});
