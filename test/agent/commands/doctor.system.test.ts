import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type Server } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixedTimes } from '../../../agent/bounds/timeouts.ts';
import { doctorCommand } from '../../../agent/commands/doctor.ts';
import type { DoctorHcs, DoctorNetworks, DoctorPorts, DoctorSettings } from '../../../agent/doctor/ports.ts';
import { systemPorts } from '../../../agent/doctor/system-ports.ts';
import { HcsError } from '../../../agent/node/hcs-error.ts';
import { HnsError } from '../../../agent/node/hns-error.ts';
import type { NetworkId } from '../../../agent/node/network-service.ts';
import { nodeFileSystem } from '../../../agent/storage/file-system.ts';
import { FileJournal } from '../../../agent/vm/journal.ts';
import { newRecord } from '../../../agent/vm/record.ts';
import { makeAuthority, signServing } from '../../../operator/certificates/authority.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import { makeAssignment } from '../../support/agent/assignments.ts';
import { FakeClock } from '../../support/clocks/fake-clock.ts';
import { until } from '../../support/until.ts';

const program = fileURLToPath(new URL('../../../agent/main.ts', import.meta.url));
const groups = '"BUILTIN\\Administratoren","Alias","S-1-5-32-544","x"\n"Mandatory","Label","S-1-16-12288",""\n';
const running =
  'SERVICE_NAME: vmcompute\n        TYPE               : 30  WIN32\n        STATE              : 4  RUNNING\n';
const stopped = running.replace('4  RUNNING', '1  STOPPED');
const epyc = 'AMD64 Family 25 Model 1 Stepping 1, AuthenticAMD';

function token(claims: object): string {
  return ['{}', JSON.stringify(claims), 'signature'].map((part) => Buffer.from(part).toString('base64url')).join('.');
}
const goodClaims = { aud: ['lcow-operator'], exp: 1_000, 'kubernetes.io': { node: { name: 'win-a' } } };

const goodHcs: DoctorHcs = {
  processorTopology: async () => ({ logicalProcessorCount: 8 }),
  enumerate: async () => [],
  close: async () => undefined,
};
const failingHcs = (code: number): DoctorHcs => ({
  ...goodHcs,
  enumerate: () => Promise.reject(new HcsError('HcsEnumerateComputeSystems', code)),
});

const natId = '7c1e3f52-2f0e-4f2b-9d8f-5a0c1f5b9a01' as NetworkId;
const goodHns: DoctorNetworks = {
  version: async () => ({ major: 13, minor: 2 }),
  networks: async () => [natId],
  network: async (id) => ({ id, name: 'nat', type: 'NAT', subnets: [] }),
};
const failingHns = (code: number): DoctorNetworks => ({
  ...goodHns,
  networks: () => Promise.reject(new HnsError('HcnEnumerateNetworks', code)),
});

/** A healthy Windows node, with these differences. */
function node(changes: Partial<DoctorPorts> = {}): DoctorPorts {
  return {
    platform: 'win32',
    environment: { UV_THREADPOOL_SIZE: '32', PROCESSOR_IDENTIFIER: epyc },
    clock: new FakeClock(),
    readFile: async (path) => (path === 'token' ? token(goodClaims) : Promise.reject(new Error('no such file'))),
    stateFolderProblem: async () => undefined,
    run: async (name) => ({ exitCode: 0, output: name === 'sc.exe' ? running : groups }),
    connectHcs: async () => goodHcs,
    connectHns: async () => goodHns,
    hostFacts: async () => ({
      osBuild: 20348,
      bootFiles: [{ path: 'C:\\boot', files: ['kernel', 'INITRD.IMG', 'kernel.vmgs'] }],
    }),
    // The security descriptor of a file below C:\Program Files.
    fileSecurity: async () => 'D:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;BU)',
    connect: async () => undefined,
    ...changes,
  };
}

const everything: DoctorSettings = {
  stateDir: 'C:\\state',
  tokenFile: 'token',
  operatorUrl: 'wss://operator:8443/v1/agents',
  isolation: 'snp',
};

/** The output of the program. */
function run(parameters: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...parameters], (error, stdout, stderr) =>
      resolve(`exit code ${error === null ? 0 : error.code}: ${stdout}${stderr}`),
    );
  });
}

async function doctor(ports: DoctorPorts, settings: DoctorSettings = everything) {
  const out: string[] = [];
  const code = await doctorCommand({ ...settings, json: true }, ports, (line) => out.push(line));
  const results: readonly { check: string; state: string; problem?: string; fix?: string; detail?: string }[] =
    JSON.parse(out.join('\n'));
  return { code, results, failed: results.filter(({ state }) => state === 'failed') };
}

describe('lcow-agent doctor', () => {
  it('finds nothing on a healthy node', async () => {
    const { code, failed, results } = await doctor(node());
    expect(failed).toEqual([]);
    expect(code).toBe(0);
    expect(results.filter(({ state }) => state === 'ok').map(({ check }) => check)).toEqual([
      ...['windows-build', 'privileges', 'compute-service', 'hyper-v', 'host-networks', 'snp'],
      ...['boot-files', 'boot-file-access', 'threads'],
      ...['token', 'operator', 'state-folder'],
    ]);
  });

  const noFiles = { osBuild: 20348, bootFiles: [{ path: 'C:\\boot', files: ['notes.txt'] }] };
  const withToken = (claims: object): Partial<DoctorPorts> => ({ readFile: async () => token(claims) });
  const withGroups = (output: string): Partial<DoctorPorts> => ({
    run: async (name) => ({ exitCode: 0, output: name === 'sc.exe' ? running : output }),
  });
  const withService = (exitCode: number, output: string): Partial<DoctorPorts> => ({
    run: async (name) => (name === 'sc.exe' ? { exitCode, output } : { exitCode: 0, output: groups }),
  });
  const notThere = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });

  it.each<[check: string, fix: string, ports: Partial<DoctorPorts>]>([
    [
      'windows-build',
      'Windows Server 2019',
      { hostFacts: async () => ({ ...(await node().hostFacts()), osBuild: 14393 }) },
    ],
    ['privileges', 'Hyper-V Administrators', withGroups('"Users","Alias","S-1-5-32-545",""')],
    ['privileges', 'elevated', withGroups(groups.replace('S-1-16-12288', 'S-1-16-8192'))],
    ['compute-service', 'install', withService(1060, '')],
    ['compute-service', 'Start-Service vmcompute', withService(0, stopped)],
    ['compute-service', 'see its message', withService(5, 'Zugriff verweigert')],
    ['hyper-v', 'elevated', { connectHcs: async () => failingHcs(0x8037_011b) }],
    ['hyper-v', 'hypervisorlaunchtype', { connectHcs: async () => failingHcs(0x8037_0102) }],
    ['hyper-v', 'Restart-Service', { connectHcs: async () => failingHcs(0x8037_011e) }],
    ['hyper-v', 'A.6', { connectHcs: async () => failingHcs(0x8000_4005) }],
    ['hyper-v', 'install', { connectHcs: () => Promise.reject(new Error('no computecore.dll')) }],
    ['snp', '--isolation', { environment: { UV_THREADPOOL_SIZE: '32', PROCESSOR_IDENTIFIER: 'Intel64 Family 6' } }],
    ['threads', 'UV_THREADPOOL_SIZE', { environment: { PROCESSOR_IDENTIFIER: epyc } }],
    ['token', 'mount', { readFile: () => Promise.reject(new Error('no such file')) }],
    ['token', 'mount', { readFile: async () => 'a.b.c' }],
    ['token', 'audience lcow-operator', withToken({ ...goodClaims, aud: 'https://kubernetes' })],
    ['token', 'renew', withToken({ ...goodClaims, exp: 0 })],
    ['token', '1.32', withToken({ aud: ['lcow-operator'], exp: 1_000 })],
    ['operator', 'whether the operator runs', { connect: () => Promise.reject(notThere) }],
    ['state-folder', 'remove it', { stateFolderProblem: async () => 'it belongs to somebody' }],
  ])('reports that %s is wrong, and how to fix it: %s', async (check, fix, changes) => {
    const { code, failed } = await doctor(node(changes));
    expect(failed.map((each) => each.check)).toEqual([check]);
    expect(failed[0]?.fix).toContain(fix);
    expect(failed[0]?.problem).not.toBe('');
    expect(code).toBe(1);
  });

  it('names the networks of the host', async () => {
    const { results } = await doctor(node());
    const found = results.find(({ check }) => check === 'host-networks');
    expect(found).toMatchObject({ state: 'ok', detail: 'version 13.2, 1 network: nat (NAT)' });
  });

  it.each<[fix: string, hns: DoctorNetworks]>([
    ['install', failingHns(0x8007_007e)],
    ['Start-Service hns', failingHns(0x8007_06ba)],
    ['elevated', failingHns(0x8007_0005)],
    ['docs/reference/hns.md', failingHns(0x8000_4005)],
    ['see the message', { ...goodHns, networks: () => Promise.reject(new Error('odd')) }],
  ])('warns of a Host Networking Service that VMs can run without: %s', async (fix, hns) => {
    const { code, results } = await doctor(node({ connectHns: async () => hns }));
    const warned = results.find(({ check }) => check === 'host-networks');
    expect(warned?.state).toBe('warning');
    expect(warned?.fix).toContain(fix);
    expect(code).toBe(0);
  });

  it('warns of a Host Networking Service that hangs', async () => {
    const clock = new FakeClock();
    const hanging = { ...goodHns, networks: () => new Promise<never>(() => undefined) };
    const diagnosing = doctor(node({ clock, connectHns: async () => hanging }));
    await until('the check waits', () => {
      clock.advance(fixedTimes.doctor.hns);
      return Promise.race([diagnosing.then(() => true), new Promise<false>((resolve) => setImmediate(resolve, false))]);
    });
    const { code, results } = await diagnosing;
    expect(results.find(({ check }) => check === 'host-networks')).toMatchObject({ state: 'warning' });
    expect(code).toBe(0);
  });

  it('reports missing boot files, including those that confidential VMs need', async () => {
    const { failed } = await doctor(node({ hostFacts: async () => noFiles }));
    expect(failed.map(({ check }) => check)).toEqual(['snp', 'boot-files']);
    expect(failed[1]?.problem).toBe('C:\\boot has no kernel or vmlinux and no initrd.img or rootfs.vhd');
  });

  it('warns of boot files that the worker processes of VMs cannot read, and names the grant', async () => {
    const closed = 'D:PAI(A;;FA;;;SY)(A;;FA;;;BA)';
    const open = await node().fileSecurity('');
    const { code, results } = await doctor(
      node({ fileSecurity: async (path) => (path === 'C:\\boot\\INITRD.IMG' ? closed : open) }),
    );
    expect(code).toBe(0);
    expect(results.find(({ check }) => check === 'boot-file-access')).toMatchObject({
      state: 'warning',
      problem: 'the worker processes of VMs may not read C:\\boot\\INITRD.IMG',
      fix: expect.stringContaining('icacls "C:\\boot" /grant "*S-1-5-83-0:(OI)(CI)(RX)"'),
    });
  });

  it.each(['kernel', 'vmlinux', 'VMLINUX'])('accepts a folder with %s, which boots', async (kernel) => {
    const files = [kernel, 'initrd.img', 'kernel.vmgs'];
    const { failed } = await doctor(
      node({ hostFacts: async () => ({ osBuild: 20348, bootFiles: [{ path: 'C:\\boot', files }] }) }),
    );
    expect(failed).toEqual([]);
  });

  describe('checks the paths that the VMs of the node name', () => {
    const disk = { name: 'data', path: 'D:\\disks\\team-a\\data.vhdx', readOnly: false };
    const vm = (name: string, options: RequestedOptions) => ({
      ...makeAssignment({ options }),
      namespace: 'team-a',
      name,
    });
    const vms = [
      vm('plain', {}),
      vm('disk', { Disks: [disk] }),
      vm('console', { ConsolePipe: '\\\\.\\pipe\\team-a_x' }),
      vm('grouped', { CPUGroupID: '01234567-89ab-cdef-0123-456789abcdef' }),
      vm('boots', { BootFilesPath: 'C:\\BOOT\\vhd' }),
    ];
    const ports = node({ assignments: async () => vms });
    const enough = {
      allowedPath: ['D:\\disks\\{namespace}'],
      allowedPipe: ['\\\\.\\pipe\\{namespace}_*'],
      allowedCpuGroup: ['01234567-89AB-CDEF-0123-456789ABCDEF'],
    };
    const result = async (settings: Partial<DoctorSettings>) =>
      (await doctor(ports, { ...everything, ...settings })).results.find(({ check }) => check === 'allowed-names');

    it('and finds nothing where the flags allow all of them', async () => {
      expect(await result(enough)).toMatchObject({ state: 'ok', detail: '5 VMs would start again' });
    });

    it('and lists the VMs that would not start again', async () => {
      const found = await result({ ...enough, allowedPath: ['D:\\disks\\{namespace}:ro'] });
      expect(found?.problem).toContain('1 of 5 VMs would not start again: team-a/disk: storage.disks[data].path');
      const none = await result({});
      expect(none?.problem).toContain('3 of 5 VMs');
      expect(none?.problem).toMatch(/team-a\/console: .*--allowed-pipe.*team-a\/grouped: .*--allowed-cpu-group/);
    });

    it('and escapes terminal control characters from manifests', async () => {
      const path = 'D:\\\u009b2J\u202eexe\u2028x';
      const hostile = node({ assignments: async () => [vm('hostile', { Disks: [{ ...disk, path }] })] });
      for (const json of [true, false]) {
        const out: string[] = [];
        await doctorCommand({ ...everything, json }, hostile, (line) => out.push(line));
        expect(out.join('')).toContain('team-a/hostile');
        expect(out.join('')).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u);
      }
      expect((await doctor(hostile)).failed[0]?.problem).toContain(path);
    });

    it('and checks where each path leads', async () => {
      const junction: DoctorPorts['withFile'] = async (path, use) =>
        use({
          kind: 'file',
          path: path.replace(/team-a(?=.*vhdx)/, 'team-b'),
          size: 1,
          read: async () => Buffer.alloc(0),
        });
      const { failed } = await doctor({ ...ports, withFile: junction }, { ...everything, ...enough });
      expect(failed[0]?.problem).toContain('leads to a file that is not below a folder');
    });

    it('and reads the journals in its folder without changing them', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'doctor-'));
      const journal = new FileJournal(nodeFileSystem, folder);
      const uid = '6a3f2c1e-0b7d-4c55-9a51-2f7f0c1d2e3f';
      await journal.write({ ...newRecord(uid, uid), assignment: makeAssignment({ uid, options: { Disks: [disk] } }) });
      const torn = join(folder, 'vms', '6a3f2c1e-0b7d-4c55-9a51-2f7f0c1d2e30');
      await mkdir(torn);
      await writeFile(join(torn, 'vm.json'), '{');
      const out = await run(['doctor', '--json', '--state-dir', folder, '--allowed-path', 'E:\\x', 'F:\\y:ro']);
      expect(out).toContain('1 of 1 VM would not start again');
      expect(await readdir(torn)).toEqual(['vm.json']);
      await rm(folder, { recursive: true });
    });
  });

  it.each([
    ['--allowed-path', 'D:\\disks\\x-{namespace}'],
    ['--allowed-path', '\\\\server\\share'],
    ['--allowed-pipe', '\\\\.\\pipe\\{namespace}-*'],
  ])('and the agent refuse a pattern of %s that would protect nothing: %s', async (flag, pattern) => {
    for (const command of [['doctor'], ['--operator-url', 'wss://a:1/v1/agents', '--token-file', 'x']]) {
      const said = await run([...command, flag, pattern]);
      expect(said).toMatch(/^exit code 1: error: option /);
      expect(said).toContain(flag);
      expect(said).toContain('; write ');
    }
  });

  it('does not wait for a compute service that hangs', async () => {
    const clock = new FakeClock();
    const diagnosing = doctor(node({ clock, connectHcs: () => new Promise(() => {}) }));
    while (clock.pending === 0) await new Promise((resolve) => setImmediate(resolve));
    for (let check = 0; check < 20; check += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      if (clock.pending > 0) clock.advance(60_000);
    }
    expect((await diagnosing).failed.map(({ check }) => check)).toContain('hyper-v');
  });

  it('prints for each failure what to do, and which checks need Windows', async () => {
    const out: string[] = [];
    const ports = node({ platform: 'linux', stateFolderProblem: async () => 'it belongs to somebody' });
    expect(await doctorCommand({ stateDir: '/state' }, ports, (line) => out.push(line))).toBe(1);
    expect(out[0]).toBe('not applicable  Windows build: needs Windows: run it on the node');
    expect(out.slice(-2)).toEqual([
      'failed          state folder: it belongs to somebody',
      '                fix: find out who created it and what it contains, then remove it: the agent creates its own',
    ]);
  });
});

describe('the operator, as doctor sees it,', () => {
  let folder: string;
  let server: Server;
  let url: string;
  let otherAuthority: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'doctor-'));
    const authority = await makeAuthority(Date.now(), 3_600_000);
    const serving = await signServing(authority, ['127.0.0.1'], Date.now(), 3_600_000);
    otherAuthority = (await makeAuthority(Date.now(), 3_600_000)).certificate;
    await writeFile(join(folder, 'ca.crt'), authority.certificate);
    await writeFile(join(folder, 'other.crt'), otherAuthority);
    await writeFile(join(folder, 'serving.crt'), serving.certificate);
    server = createServer({ key: serving.key, cert: serving.certificate });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    url = `wss://127.0.0.1:${(server.address() as AddressInfo).port}/v1/agents`;
  });
  afterAll(async () => {
    server.close();
    await rm(folder, { recursive: true, force: true });
  });

  const settings = (ca: string): DoctorSettings => ({
    stateDir: join(folder, 'state'),
    operatorUrl: url,
    caFile: join(folder, ca),
  });
  const failedWith = async (ca: string) => (await doctor(systemPorts, settings(ca))).failed.map(({ check }) => check);

  it('answers and proves its identity', async () => {
    expect(await failedWith('ca.crt')).toEqual([]);
  });

  it('is not trusted with another CA, with an invalid certificate, or without the CA file', async () => {
    expect(await failedWith('other.crt')).toEqual(['operator']);
    expect(await failedWith('serving.crt')).toEqual(['ca-file', 'operator']);
    expect(await failedWith('none.crt')).toEqual(['ca-file', 'operator']);
  });

  it('is contacted by the program, which ends with exit code 1 when nobody answers', async () => {
    const closed = new URL(url);
    closed.port = '1';
    const flags = ['doctor', '--operator-url', closed.href, '--state-dir', join(folder, 'state')];
    const { code, said } = await new Promise<{ code: number | undefined; said: string }>((resolve) => {
      execFile(process.execPath, [program, ...flags], (error, said) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : undefined, said });
      });
    });
    expect(code).toBe(1);
    expect(said).toContain('failed          operator: 127.0.0.1:1: connect ECONNREFUSED');
    expect(said).toContain('fix: see whether the operator runs, and the port');
  });
});
