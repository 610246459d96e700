import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { documentCommand } from '../../../agent/commands/document.ts';

const hostYaml = `
build: 20348
logicalProcessors: 16
bundleDirectory: C:\\bundle
files:
  C:\\LinuxBootFiles\\kernel: 1
  C:\\LinuxBootFiles\\vmlinux: 1
  C:\\LinuxBootFiles\\initrd.img: 1
  C:\\LinuxBootFiles\\kernel.vmgs: 1
  C:\\LinuxBootFiles\\rootfs.vhd: 4096
`;

function manifest(name: string, spec: string): string {
  return `apiVersion: lcow.dev/v1alpha1\nkind: LinuxUtilityVM\nmetadata: {name: ${name}, namespace: lab}\nspec: ${spec}\n`;
}

async function run(files: Readonly<Record<string, string>>, pretty = false) {
  const out: string[] = [];
  const problems: string[] = [];
  const read = async (path: string) => {
    const text = { 'host.yaml': hostYaml, ...files }[path];
    if (text === undefined) throw new Error('no such file');
    return text;
  };
  const code = await documentCommand(
    { host: 'host.yaml', filename: Object.keys(files), pretty },
    { read, out: (line) => out.push(line), problem: (line) => problems.push(line) },
  );
  return { code, out, problems };
}

describe('lcow-agent document', () => {
  it('prints one line per VM, with the members in the order in which HCS gets them', async () => {
    const { code, out, problems } = await run({ '-': manifest('a', '{}') });
    expect({ code, problems }).toEqual({ code: 0, problems: [] });
    expect(out).toHaveLength(1);
    expect(out[0]).toMatch(/^\{"namespace":"lab","name":"a","document":\{"Owner":"lcow-agent","SchemaVersion":/);
    expect(JSON.parse(out[0] ?? '')).toHaveProperty('document.VirtualMachine.Devices.VirtualPMem.Devices.0');
  });

  it('numbers the GUIDs of devices', async () => {
    const { out } = await run({ 'm.yaml': manifest('a', "{devices: {assigned: [{instanceID: 'PCIP\\VEN_1'}]}}") });
    expect(out[0]).toContain('"VirtualPci":{"vmbus-0":');
  });

  it('prints the error of the original for a host that does not fit', async () => {
    const { code, out } = await run({ 'm.yaml': manifest('a', '{boot: {kernelFile: other}}') });
    expect(code).toBe(1);
    expect(out).toEqual([
      '{"namespace":"lab","name":"a","error":"kernel: \'C:\\\\LinuxBootFiles\\\\other\' not found"}',
    ]);
  });

  it('finds a referenced policy in the same manifests', async () => {
    const policy = 'kind: ConfigMap\nmetadata: {name: p, namespace: lab}\ndata: {policy: YWxsb3dfYWxs}\n';
    const spec = '{confidential: {securityPolicyFrom: {configMapKeyRef: {name: p, key: policy}}}}';
    const { code, out } = await run({ 'm.yaml': `${manifest('a', spec)}---\n${policy}` });
    expect(code).toBe(0);
    expect(out[0]).toContain('"LaunchData":"9FK8u8tjTjr4tF3drXh8QGzY5srpr5MQfjtZbr8/haY="');
    const missing = await run({ 'm.yaml': manifest('a', spec) });
    expect(missing.out[0]).toContain('spec.confidential.securityPolicyFrom is not resolved');
  });

  it('reports broken manifests with file and line, and continues with the others', async () => {
    const { code, out, problems } = await run({
      'm.yaml': `${manifest('a', '{}')}---\na: [\n---\njust text\n---\n${manifest('b', '{}')}`,
      'n.yaml': manifest('c', '{memory: {sizeInMB: many}}'),
      'o.yaml': manifest('d', '{boot: {kernelFil: x}}'),
      'p.yaml': manifest('e', "{storage: {disks: [{name: a, path: 'D:\\a.vhd', readonly: true}]}}"),
    });
    expect(code).toBe(1);
    expect(problems).toEqual([expect.stringMatching(/^m\.yaml:7: /), expect.stringMatching(/^m\.yaml:8: not a Kube/)]);
    expect(out.map((line) => JSON.parse(line).name)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(out[2]).toContain('n.yaml:1: spec.memory.sizeInMB: ');
    expect(out[3]).toContain('unknown field spec.boot.kernelFil');
    expect(out[4]).toContain('unknown field spec.storage.disks[0].readonly');
  });

  it('accepts manifests as kubectl prints them before they are created', async () => {
    const text = `${manifest('a', '{}')}status: {phase: from a later version}\n`;
    const printed = text.replace('{name: a,', '{creationTimestamp: null, generateName: a-,');
    const { code, out } = await run({ '-': printed });
    expect(code).toBe(0);
    expect(out[0]).toMatch(/^\{"namespace":"lab","name":"","document":/);
  });

  it('treats an empty section as absent, but not an empty service', async () => {
    const plain = await run({ '-': manifest('a', '{}') });
    const empty = await run({ '-': manifest('a', '{boot: , memory: {sizeInMB: }, storage: {qos: }}') });
    expect(empty).toEqual(plain);
    const service = await run({
      '-': manifest('a', '{hvSocket: {serviceTable: {0000006d-facb-11e6-bd58-64006a7986d3: }}}'),
    });
    expect(service.out[0]).toContain('"error":"stdin:1: spec.hvSocket.serviceTable.0000006d-');
  });

  it('numbers only devices, even for a VM without a name', async () => {
    const spec = "{devices: {assigned: [{instanceID: 'PCIP\\VEN_1'}]}}";
    const { out } = await run({ '-': manifest('x', spec).replace('name: x', "name: ''") });
    expect(out[0]).toContain('"VirtualPci":{"vmbus-0":');
  });

  it('expands lists, which kubectl prints for several objects', async () => {
    const items = ['a', 'b'].map(
      (name) => `{kind: LinuxUtilityVM, apiVersion: lcow.dev/v1alpha1, metadata: {name: ${name}}, spec: {}}`,
    );
    const { out } = await run({ '-': `kind: List\nitems: [${items.join(', ')}]\n` });
    expect(out.map((line) => JSON.parse(line))).toMatchObject([
      { namespace: 'default', name: 'a' },
      { namespace: 'default', name: 'b' },
    ]);
  });

  it('prints the same value in the readable form', async () => {
    const plain = await run({ '-': manifest('a', '{console: {graphics: true}}') });
    const pretty = await run({ '-': manifest('a', '{console: {graphics: true}}') }, true);
    expect(pretty.out[0]).toContain('\n');
    expect(JSON.parse(pretty.out[0] ?? '')).toEqual(JSON.parse(plain.out[0] ?? ''));
  });

  it('stops when the host file cannot be read', async () => {
    const problems: string[] = [];
    const code = await documentCommand(
      { host: 'h', filename: [] },
      { read: async () => 'build: x', out: () => {}, problem: (line) => problems.push(line) },
    );
    expect(code).toBe(1);
    expect(problems[0]).toMatch(/^h: build: /);
  });

  it('can print a document for every example', async () => {
    const folder = new URL('../../../examples/', import.meta.url);
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.yaml'))) {
      const { problems } = await run({ [file]: readFileSync(new URL(file, folder), 'utf8') });
      expect(problems).toEqual([]);
    }
  });
});
