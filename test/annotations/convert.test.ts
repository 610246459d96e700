// What a user of `convert` sees, with both programs.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { convertCommand } from '../../agent/commands/convert.ts';
import { convertFile } from '../../kubectl/convert.ts';
import { StandInTerminal } from '../support/kubectl/stand-in-terminal.ts';

const vm = 'io.microsoft.virtualmachine.';
const memory = `${vm}computetopology.memory.sizeinmb`;

async function run(text: string, flags: object = {}, hostYaml = '') {
  const out: string[] = [];
  const problems: string[] = [];
  const read = async (path: string) => (path === 'host.yaml' ? hostYaml : text);
  const io = { read, out: (line: string) => out.push(line), problem: (line: string) => problems.push(line) };
  const code = await convertCommand({ annotations: 'pod.yaml', ...flags }, io);
  return { code, out: out.join('\n'), problems };
}

const pod = (annotations: object) =>
  JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', namespace: 'lab', annotations } });

describe('the input of convert', () => {
  const manifest = (metadata: object) => ({
    apiVersion: 'lcow.dev/v1alpha1',
    kind: 'LinuxUtilityVM',
    metadata,
    spec: { memory: { sizeInMB: 2048 } },
  });

  it.each([
    ['annotations', JSON.stringify({ [memory]: '2048' }), { name: 'converted' }],
    ['annotations in YAML', `${memory}: "2048"\n`, { name: 'converted' }],
    [
      'an OCI spec',
      JSON.stringify({ ociVersion: '1.0.2', linux: {}, annotations: { [memory]: '2048' } }, null, '\t'),
      { name: 'converted' },
    ],
    [
      'the resources of an OCI spec',
      '{"linux":{},"windows":{"resources":{"memory":{"limit":2147483648}}}}',
      { name: 'converted' },
    ],
    ['a Pod', pod({ [memory]: '2048' }), { name: 'web', namespace: 'lab' }],
    [
      'a Pod in YAML',
      `---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    ${memory}: '2048'\n`,
      { name: 'p' },
    ],
  ])('can be %s', async (_, text, metadata) => {
    const { code, out, problems } = await run(text);
    expect({ code, problems, manifest: parse(out) }).toEqual({ code: 0, problems: [], manifest: manifest(metadata) });
  });

  it('gives its name and namespace to the VM, unless a flag does', async () => {
    const { out } = await run(pod({}), { name: 'other', namespace: 'prod' });
    expect(parse(out).metadata).toEqual({ name: 'other', namespace: 'prod' });
  });

  it.each([
    ['', 'pod.yaml: has no content'],
    ['[]', 'pod.yaml: must be an object'],
    ['a: [', 'pod.yaml: '],
    ['a: b\n---\na: b\n', 'must have one document'],
    [`${memory}: 2048\n`, 'put it in quotes'],
    ['apiVersion: apps/v1\nkind: Deployment\n', 'kind: must be Pod'],
    ['x'.repeat(3 << 20), 'must have at most'],
  ])('is refused with the reason: %#', async (text, says) => {
    const { code, out, problems } = await run(text);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(problems.join('\n')).toContain(says);
  });
});

describe('convert says in one line each', () => {
  it.each([
    [
      { [`${vm}computetopology.memory.allowovercommit`]: 'yes' },
      'ignores it with a warning: the value is not true or false',
    ],
    [{ [`${vm}lcow.extra-vsock-ports`]: '1;2' }, 'ignores it without a warning: the value is not a list'],
    [{ [`${vm}computetopology.processor.count`]: '0' }, 'it takes 0 as if the annotation were absent'],
    [{ [`${vm}computetopology.memory.SizeInMB`]: '9' }, 'ignores this unknown key; check its spelling'],
    [{ [`${vm}bootfilesrootpath`]: 'D:\\b' }, 'only in later versions; set spec.boot.filesPath'],
    [{ [`${vm}wcow.virtualSMB.nodirectmap`]: 'true' }, 'it is for Windows guests'],
    [{ 'io.microsoft.network.ncproxy': 'x' }, 'a manifest has no network configuration proxy'],
    [{ [`${vm}dump-directory-path`]: 'x' }, 'no effect on Linux guests'],
    [{ [`${vm}console.pipe`]: 'x' }, 'spec.console.pipe cannot have this value (must be a local pipe'],
    [{ [`${vm}lcow.hcl-enabled`]: 'true' }, 'only together with a security policy'],
    [
      { [`${vm}fullyphysicallybacked`]: '1', [`${vm}devices.virtualpmem.maximumcount`]: '3' },
      'fullyphysicallybacked overrides it',
    ],
    [
      { [`${vm}lcow.securitypolicy`]: 'cG9s', [`${vm}lcow.kernelbootoptions`]: 'quiet' },
      'the security policy overrides it',
    ],
    [{ [`${vm}computetopology.numa.count-of-processors`]: '2' }, 'it has no effect without'],
    [{ [`${vm}lcow.dmverity-mode`]: 'true' }, 'hcsshim refuses a root VHD on SCSI'],
    [{ [`${vm}lcow.securitypolicy`]: 'x', [`${vm}no_security_hardware`]: 'true' }, 'it is not base64'],
  ])('what a manifest does not contain: %j', async (annotations, says) => {
    const { code, problems } = await run(pod(annotations));
    expect(code).toBe(0);
    expect(problems).toEqual([expect.stringContaining(says)]);
    expect(Object.keys(annotations)).toContain(problems[0]?.split(': ')[0]);
  });

  it('nothing of keys that do not concern hcsshim', async () => {
    expect((await run(pod({ 'kubectl.kubernetes.io/restartedAt': 'x', app: 'y' }))).problems).toEqual([]);
  });

  it('where to put a policy that is too long for a manifest', async () => {
    const { out, problems } = await run(pod({ [`${vm}lcow.securitypolicy`]: 'AAAA'.repeat(10_000) }));
    expect(parse(out).spec.confidential).toEqual({
      isolation: 'SNP',
      securityPolicyFrom: { configMapKeyRef: { name: 'web-policy', key: 'policy' } },
    });
    expect(problems).toEqual([expect.stringContaining('put it into the ConfigMap web-policy under the key policy')]);
  });
});

describe('convert ends with 1', () => {
  it.each([
    [{ [`${vm}resource-partition-id`]: '' }, 'with value "" as GUID: invalid GUID ""'],
    [{ [`${vm}devices.virtualpmem.maximumcount`]: '129' }, 'VPMem device count cannot be greater than 128'],
    [{ [`${vm}lcow.securitypolicy`]: '!!' }, 'failed to decode base64 security policy'],
  ])('if hcsshim refuses the annotations: %j', async (annotations, says) => {
    const { code, out, problems } = await run(pod(annotations));
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(problems).toEqual([expect.stringContaining(`hcsshim refuses the annotations: `)]);
    expect(problems[0]).toContain(says);
  });

  it('with a line for each contradiction', async () => {
    const { problems } = await run(
      pod({
        'io.microsoft.disable-unsafe-operations': '0',
        'microsoft.com/disable-hostprocess-container': '1',
        'microsoft.com/hostprocess-container': '1',
      }),
    );
    expect(problems).toHaveLength(2);
  });
});

describe('convert --host', () => {
  const hostYaml = String.raw`
build: 20348
logicalProcessors: 16
files: { 'C:\LinuxBootFiles\kernel': 1, 'C:\LinuxBootFiles\initrd.img': 1 }
`;

  it('says nothing if the documents are the same', async () => {
    const { code, problems } = await run(pod({ [memory]: '512' }), { host: 'host.yaml' }, hostYaml);
    expect({ code, problems }).toEqual({ code: 0, problems: [] });
  });

  it('says how the documents differ', async () => {
    const { problems } = await run(
      pod({ [`${vm}computetopology.processor.count`]: '-2' }),
      { host: 'host.yaml', owner: 'shim' },
      hostYaml,
    );
    expect(problems.slice(1)).toEqual([
      expect.stringMatching(/^Owner is "shim" in hcsshim's document on this host, and "lcow-agent" in that of the man/),
      expect.stringMatching(/^VirtualMachine\.Chipset\.LinuxKernelDirect\.KernelCmdLine is .*nr_cpus=-2 /),
      expect.stringMatching(/^VirtualMachine\.ComputeTopology\.Processor\.Count is 4294967294 in .*, and 2 in /),
    ]);
  });

  it('says if the host can run neither', async () => {
    const { problems } = await run(
      pod({ [`${vm}lcow.kerneldirectboot`]: 'true' }),
      { host: 'host.yaml' },
      'build: 17763\nlogicalProcessors: 1\n',
    );
    expect(problems).toEqual([
      expect.stringContaining('on this host hcsshim refuses the annotations: UVM options inc'),
    ]);
  });
});

describe('kubectl luvm convert', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'convert-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('prints the same, without a cluster', async () => {
    const text = pod({ [memory]: '2048', [`${vm}nothing`]: 'x' });
    await writeFile(join(folder, 'pod.json'), text);
    const terminal = new StandInTerminal();
    expect(await convertFile({ annotations: join(folder, 'pod.json'), namespace: 'prod' }, terminal)).toBe(0);
    await Promise.all([terminal.output, terminal.errors].map((stream) => finished(stream.end())));
    const { out, problems } = await run(text, { namespace: 'prod' });
    expect(terminal.stdout).toBe(`${out}\n`);
    expect(terminal.stderr).toBe(`${problems.join('\n')}\n`);
  });

  it('reads standard input, and escapes what would steer the terminal', async () => {
    const terminal = new StandInTerminal();
    terminal.input.end(pod({ [`${vm}\u001b[2J`]: 'x', [`${vm}resource-partition-id`]: '\u001b' }));
    expect(await convertFile({ annotations: '-' }, terminal)).toBe(1);
    await Promise.all([terminal.output, terminal.errors].map((stream) => finished(stream.end())));
    expect(terminal.stdout + terminal.stderr).not.toContain('\u001b');
  });
});
