// The flags of the plugin: those of kubectl itself, names and selectors, and the forms of its output.

import { finished } from 'node:stream/promises';
import { CommanderError } from 'commander';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { Api } from '../../kubectl/api.ts';
import { loadCluster } from '../../kubectl/cluster.ts';
import { flagWords } from '../../kubectl/flag-words.ts';
import { createProgram } from '../../kubectl/program.ts';
import { systemClock } from '../../runtime/clock.ts';
import { type StandInAnswer, StandInApi } from '../support/kubectl/stand-in-api.ts';
import { StandInTerminal } from '../support/kubectl/stand-in-terminal.ts';

const machines = '/apis/lcow.dev/v1alpha1/namespaces/ns/linuxutilityvms';
const logOf = (name: string) => `/apis/subresources.lcow.dev/v1alpha1/namespaces/ns/linuxutilityvms/${name}/log`;
const vm = (name: string, rest: object = {}) => ({
  apiVersion: 'lcow.dev/v1alpha1',
  kind: 'LinuxUtilityVM',
  metadata: { namespace: 'ns', name },
  ...rest,
});

let api: StandInApi;
let answers: Record<string, StandInAnswer>;

beforeAll(async () => {
  api = await StandInApi.start(({ path }) => answers[path]);
});
afterAll(() => api[Symbol.asyncDispose]());
beforeEach(() => {
  answers = {};
  api.requests.length = 0;
});

interface Ran {
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(...words: readonly string[]): Promise<Ran> {
  const terminal = new StandInTerminal();
  const trace: string[] = [];
  let code: number | undefined;
  let problem = '';
  const program = createProgram(
    '1.2.3',
    async (flags, work) => {
      try {
        const { requestTimeout, v = 0 } = flags;
        const options = {
          ...(requestTimeout !== undefined && { timeoutMilliseconds: requestTimeout }),
          ...(v >= 6 && { trace: (line: string) => trace.push(line) }),
        };
        const ports = { terminal, clock: systemClock, random: Math.random };
        code = await work({ ...ports, api: new Api(loadCluster({ ...flags, kubeconfig: api.kubeconfig }), options) });
      } catch (error) {
        code = 1;
        problem = `error: ${String(error instanceof Error ? error.message : error)}\n`;
      }
    },
    async (work) => {
      code = await work(terminal);
    },
    (version) => terminal.output.write(`${version}\n`),
    () => async () => true,
  );
  for (const each of [program, ...program.commands]) {
    each.exitOverride().configureOutput({ writeErr: (text) => trace.push(text), writeOut: () => undefined });
  }
  await program.parseAsync(flagWords(words), { from: 'user' }).catch((error: unknown) => {
    if (!(error instanceof CommanderError)) throw error;
    code = error.exitCode;
  });
  await Promise.all([terminal.output, terminal.errors].map((stream) => finished(stream.end())));
  return { code, stdout: terminal.stdout, stderr: `${terminal.stderr}${trace.join('\n')}${problem}` };
}

describe('the flags of kubectl', () => {
  it('impersonate a user and several groups, one header for each', async () => {
    answers[`${machines}/web`] = { body: vm('web') };
    await run('status', 'web', '--as', 'jane', '--as-group', 'cn=a,ou=b', '--as-group=c', '--as-uid', '7');
    const { rawHeaders } = api.requests[0] ?? { rawHeaders: [] };
    const valuesOf = (name: string) =>
      rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name);
    expect(valuesOf('impersonate-user')).toEqual(['jane']);
    expect(valuesOf('impersonate-group')).toEqual(['cn=a,ou=b', 'c']);
    expect(valuesOf('impersonate-uid')).toEqual(['7']);
    expect((await run('status', 'web', '--as-group', 'c')).stderr).toContain('need --as');
  });

  it('choose context, cluster, user and namespace', async () => {
    answers[`${machines.replace('/ns/', '/other/')}/web`] = { body: vm('web') };
    const flags = ['--context', 'y', '--cluster', 'c', '--user', 'other', '-n=other'];
    expect((await run('status', 'web', ...flags)).code).toBe(0);
    expect(api.requests[0]?.headers.authorization).toBe('Bearer token-of-other');
    expect((await run('-n', 'other', 'status', 'web')).code).toBe(0);
    for (const flag of ['context', 'cluster', 'user']) {
      expect((await run('status', 'web', `--${flag}`, 'nobody')).stderr).toBe(
        `error: the kubeconfig has no ${flag} "nobody"\n`,
      );
    }
  });

  it('print each request from -v 6 on, without credentials', async () => {
    answers[`${machines}/web`] = { body: vm('web') };
    const { stderr } = await run('status', 'web', '-v=6');
    expect(stderr).toMatch(/^GET http:\/\/127\.0\.0\.1:\d+\/apis\S+\/web 200 OK in \d+ milliseconds$/);
    expect((await run('status', 'web', '-v', '5')).stderr).toBe('');
  });

  it('bound the time of a request', async () => {
    expect((await run('status', 'web', '--request-timeout', 'soon')).stderr).toContain('must be a duration');
    expect((await run('status', 'web', '--request-timeout', '1ns', '--cluster', 'c')).code).toBe(1);
  });
});

describe('names', () => {
  it.each(['web', 'luvm/web', 'linuxutilityvm/web', 'linuxutilityvms.lcow.dev/web', 'LinuxUtilityVM.lcow.dev/web'])(
    'can be %s',
    async (name) => {
      answers[`${machines}/web`] = { body: vm('web') };
      expect((await run('status', name, '-o', 'name')).stdout).toBe('linuxutilityvm.lcow.dev/web\n');
    },
  );

  it.each([['logs'], ['exec', '--', 'true'], ['console'], ['document'], ['restart'], ['status']])(
    'of other types are refused: %s',
    async (command, ...rest) => {
      expect((await run(command ?? '', 'pod/web', ...rest)).stderr).toContain('this command takes VMs');
      expect(api.requests).toEqual([]);
    },
  );

  it('come from labels with -l, page by page, without the VMs themselves', async () => {
    const pages: Record<string, object> = {
      '': { metadata: { continue: 'more' }, items: [{ metadata: { name: 'a' } }] },
      more: { metadata: {}, items: [{ metadata: { name: 'b' } }] },
    };
    const paged = await StandInApi.start(({ method, path, query }) =>
      method === 'GET' ? { body: pages[query.get('continue') ?? ''] ?? {} } : { body: vm(path.slice(-1)) },
    );
    const before = api;
    api = paged;
    try {
      const { stdout } = await run('restart', '-l=app=web', '-o', 'name');
      expect(stdout).toBe('linuxutilityvm.lcow.dev/a\nlinuxutilityvm.lcow.dev/b\n');
      expect(paged.requests[0]?.query.get('labelSelector')).toBe('app=web');
      expect(paged.requests[0]?.headers.accept).toContain('PartialObjectMetadataList');
    } finally {
      api = before;
      await paged[Symbol.asyncDispose]();
    }
  });

  it('or labels are needed, and not both; labels that nobody has are an error', async () => {
    answers[machines] = { body: { metadata: {}, items: [] } };
    expect((await run('restart')).stderr).toContain('name a VM, or select VMs by their labels');
    expect((await run('restart', 'web', '-l', 'a=b')).stderr).toContain('not both');
    expect(await run('restart', '-l', 'a=b')).toMatchObject({ code: 1, stderr: expect.stringContaining('no VM') });
  });
});

describe('-o', () => {
  it('prints one VM as itself and several as a list, which a program reads back', async () => {
    const [web, db] = [vm('web', { status: { phase: '\u202eRunning' } }), vm('db')];
    answers[`${machines}/web`] = { body: web };
    answers[`${machines}/db`] = { body: db };
    const one = await run('status', 'web', '-o', 'json');
    expect([JSON.parse(one.stdout), one.stdout.includes('\u202e')]).toEqual([web, false]);
    expect(parse((await run('status', 'web', 'db', '-o=yaml')).stdout)).toMatchObject({
      kind: 'List',
      items: [web, db],
    });
    expect((await run('status', 'web', '-o', 'wide')).stderr).toContain('Allowed choices are json, yaml, name');
  });
});

describe('restart, pause and resume', () => {
  it('set and remove annotations', async () => {
    answers[`${machines}/web`] = { body: vm('web', { spec: { runStrategy: 'Always' } }) };
    expect((await run('pause', 'web')).stdout).toBe('linuxutilityvm.lcow.dev/web paused\n');
    expect((await run('resume', 'luvm/web')).stdout).toBe('linuxutilityvm.lcow.dev/web resumed\n');
    expect((await run('restart', 'web')).stdout).toMatch(/\/web restarted \(lcow\.dev\/restartedAt=\S+Z\)\n$/);
    expect(api.requests.map(({ body }) => JSON.parse(body).metadata.annotations)).toEqual([
      { 'lcow.dev/paused': 'true' },
      { 'lcow.dev/paused': null },
      { 'lcow.dev/restartedAt': expect.any(String) },
    ]);
  });

  it.each([
    ['its runStrategy is Halted', { spec: { runStrategy: 'Halted' } }],
    [
      'its runStrategy is Once, and it has ended',
      { spec: { runStrategy: 'Once' }, status: { phase: 'Stopped', lastExit: {} } },
    ],
    ['the VM is being deleted', { metadata: { name: 'web', deletionTimestamp: 'now' } }],
  ])('restart says that nothing was started: %s', async (reason, rest) => {
    answers[`${machines}/web`] = { body: vm('web', rest) };
    const { code, stderr, stdout } = await run('restart', 'web');
    expect(stdout).toMatch(/\/web annotated \(lcow\.dev\/restartedAt=\S+\)\n$/);
    expect([code, stderr]).toEqual([0, `linuxutilityvm.lcow.dev/web: nothing was started: ${reason}\n`]);
  });

  it('go on with the other VMs when one fails, and end with 1', async () => {
    answers[`${machines}/web`] = { body: vm('web') };
    const { code, stderr, stdout } = await run('pause', 'nobody', 'web');
    expect([code, stdout]).toEqual([1, 'linuxutilityvm.lcow.dev/web paused\n']);
    expect(stderr).toContain('error: 404 page not found');
  });
});

describe('logs', () => {
  const lines = (texts: readonly string[]) => texts.map((text, index) => `0.${index} ${text}\n`).join('');
  const written = ['early', '2026-11-30T12:00:00Z info one', 'no time', '2026-11-30T12:00:01.5Z info two', 'last'];

  it('--since-time leaves out what the guest wrote before', async () => {
    answers[logOf('web')] = { body: lines(written) };
    const { stdout } = await run('logs', 'web', '--since-time', '2026-11-30T12:00:01Z');
    expect(stdout).toBe('2026-11-30T12:00:01.5Z info two\nlast\n');
    expect((await run('logs', 'web', '--since', '1000000h')).stdout.split('\n')).toHaveLength(5);
    expect((await run('logs', 'web', '--since', '1s')).stdout).toBe('');
    expect((await run('logs', 'web', '--since', '1s', '--since-time', '2026-11-30T12:00:00Z')).code).toBe(1);
  });

  it('--timestamps gives a line without a time that of the line before', async () => {
    answers[logOf('web')] = { body: lines(written) };
    const { stdout } = await run('logs', 'web', '--timestamps', '--prefix');
    expect(stdout.split('\n').slice(0, 3)).toEqual([
      '[web] - early',
      '[web] 2026-11-30T12:00:00Z info one',
      '[web] 2026-11-30T12:00:00Z no time',
    ]);
  });

  it('-l prints the last ten lines of each VM, and follows only a few at once', async () => {
    answers[machines] = { body: { metadata: {}, items: ['a', 'b'].map((name) => ({ metadata: { name } })) } };
    answers[logOf('a')] = { body: lines(['of a']) };
    const { code, stderr, stdout } = await run('logs', '-l', 'x', '--prefix');
    expect([code, stdout]).toEqual([1, '[a] of a\n']);
    expect(stderr).toMatch(/^error: b: the cluster does not serve the aggregated API/);
    expect(api.requests.find(({ path }) => path === logOf('a'))?.query.get('tailLines')).toBe('10');
    expect((await run('logs', '-f', '-l', 'x', '--max-log-requests', '1')).stderr).toContain('allows 1 to be followed');
  });
});

it('an aggregated API that is switched off is named as such', async () => {
  const { code, stderr } = await run('logs', 'web');
  expect(code).toBe(1);
  expect(stderr).toContain('does not serve the aggregated API subresources.lcow.dev');
  expect(stderr).toContain('aggregatedAPI.enabled of the chart lcow-operator');
  const missing = {
    kind: 'Status',
    code: 404,
    reason: 'NotFound',
    message: 'linuxutilityvms.lcow.dev "web" not found',
  };
  answers[logOf('web')] = { code: 404, body: missing };
  expect((await run('logs', 'web')).stderr).toBe('error: linuxutilityvms.lcow.dev "web" not found\n');
});

it('version prints the version', async () => {
  expect((await run('version')).stdout).toBe('1.2.3\n');
});
