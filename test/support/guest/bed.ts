// What a real Linux guest needs on this computer: an emulator, a vsock device, a kernel with its modules, and an
// initial ramdisk with the programs of image/. Missing parts are installed with apt-get and cargo and kept in the cache
// folder; `npm run guest:bed` does it ahead of the tests. A user's own boot files can replace ours
// (`own-boot-files.ts`).
import { createHash, randomUUID } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from '../cache-folder.ts';
import { type ArchiveEntry, archive } from './cpio.ts';
import { type OwnBootFiles, ownBootFiles } from './own-boot-files.ts';
import { runProgram } from './run-program.ts';

export interface Bed {
  readonly emulator: string;
  readonly vsockDevice: string;
  readonly kernel: string;
  readonly initrd: string;
  /** The boot files are not this project's: behaviour of our guest image cannot be expected. */
  readonly isForeign: boolean;
}

const emulator = 'qemu-system-x86_64';
const vsockCrate = { name: 'vhost-device-vsock', version: '0.3.0' };
const kernelPackage = 'linux-image-cloud-amd64';
const image = fileURLToPath(new URL('./image/', import.meta.url));

/** In the order of their dependencies. */
const modules = [
  'drivers/virtio/virtio_ring.ko',
  'drivers/virtio/virtio.ko',
  'drivers/virtio/virtio_pci_modern_dev.ko',
  'drivers/virtio/virtio_pci_legacy_dev.ko',
  'drivers/virtio/virtio_pci.ko',
  'net/vmw_vsock/vsock.ko',
  'net/vmw_vsock/vmw_vsock_virtio_transport_common.ko',
  'net/vmw_vsock/vmw_vsock_virtio_transport.ko',
  'drivers/scsi/scsi_common.ko',
  'drivers/scsi/scsi_mod.ko',
  'drivers/scsi/virtio_scsi.ko',
  'drivers/scsi/sd_mod.ko',
];

const applets = [
  'sh',
  'uname',
  'cat',
  'echo',
  'sleep',
  'kill',
  'true',
  'false',
  'ls',
  'dd',
  'yes',
  'head',
  'dmesg',
  'pwd',
  'env',
  'tty',
  'stty',
  'mkdir',
  'mv',
  'rm',
  'tar',
  'readlink',
  'dirname',
  'basename',
  'sha256sum',
  'mount',
  'umount',
  'sync',
];

export interface BedOptions {
  readonly own?: OwnBootFiles;
  /** Called before something slow is made; not called when everything exists. */
  readonly tell?: (what: string) => void;
}

/** Rejects with what this computer lacks. */
export async function prepareBed({ own = ownBootFiles(), tell = () => undefined }: BedOptions = {}): Promise<Bed> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(`a real guest needs Linux on x64, this is ${process.platform} on ${process.arch}`);
  }
  const folder = join(cacheFolder, 'guest-bed');
  await mkdir(folder, { recursive: true });
  await installEmulator(tell);
  const vsockDevice = await installVsockDevice(folder, tell);
  return { emulator, vsockDevice, ...(await bootFilesOf(own, folder, tell)), isForeign: own.initrd !== undefined };
}

type Tell = NonNullable<BedOptions['tell']>;

/** Ours are not fetched when the user provides both. */
async function bootFilesOf(own: OwnBootFiles, folder: string, tell: Tell): Promise<Pick<Bed, 'kernel' | 'initrd'>> {
  if (own.kernel !== undefined && own.initrd !== undefined) return { kernel: own.kernel, initrd: own.initrd };
  const boot = await bootFiles(folder, tell);
  return { kernel: own.kernel ?? boot.kernel, initrd: own.initrd ?? (await makeInitrd(folder, boot, tell)) };
}

async function installEmulator(tell: Tell): Promise<void> {
  const isThere = await runProgram(emulator, ['--version']).then(
    () => true,
    () => false,
  );
  if (isThere) return;
  tell('installing the emulator (qemu-system-x86)');
  const environment = { DEBIAN_FRONTEND: 'noninteractive' };
  await runProgram('apt-get', ['update'], { environment });
  await runProgram('apt-get', ['install', '-y', '--no-install-recommends', 'qemu-system-x86'], { environment });
}

async function installVsockDevice(folder: string, tell: Tell): Promise<string> {
  const { name, version } = vsockCrate;
  const root = join(folder, `${name}-${version}`);
  await once(root, async (unfinished) => {
    tell(`building ${name} (about two minutes, once)`);
    await runProgram('cargo', ['install', '--locked', '--root', unfinished, '--version', version, name]);
  });
  return join(root, 'bin', name);
}

interface BootFiles {
  readonly kernel: string;
  readonly modules: string;
  readonly busybox: string;
}

/** Downloads and unpacks, without installing. */
async function bootFiles(folder: string, tell: Tell): Promise<BootFiles> {
  const root = join(folder, 'boot-files');
  await once(root, async (unfinished) => {
    tell('downloading a Linux kernel and busybox');
    await mkdir(unfinished);
    await runProgram('apt-get', ['update']);
    const depends = await runProgram('apt-cache', ['depends', kernelPackage]);
    const kernel = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
    if (kernel === undefined) throw new Error(`${kernelPackage} depends on no kernel:\n${depends}`);
    await runProgram('apt-get', ['download', kernel, 'busybox-static'], { folder: unfinished });
    for (const name of (await readdir(unfinished)).filter((each) => each.endsWith('.deb'))) {
      await runProgram('dpkg-deb', ['-x', name, 'root'], { folder: unfinished });
      await rm(join(unfinished, name));
    }
  });
  const kernels = await readdir(join(root, 'root/boot'));
  const kernel = kernels.find((name) => name.startsWith('vmlinuz-'));
  if (kernel === undefined) throw new Error(`${root} holds no kernel`);
  const version = kernel.replace('vmlinuz-', '');
  return {
    kernel: join(root, 'root/boot', kernel),
    modules: join(root, 'root/lib/modules', version, 'kernel'),
    busybox: join(root, 'root/bin/busybox'),
  };
}

/** Made again when its programs or the kernel have changed. */
async function makeInitrd(folder: string, boot: BootFiles, tell: Tell): Promise<string> {
  const sources = (await readdir(image)).sort();
  const hash = createHash('sha256')
    .update(boot.kernel)
    .update(await readFile(fileURLToPath(import.meta.url)));
  for (const name of sources) hash.update(`${name}\n`).update(await readFile(join(image, name)));
  const initrd = join(folder, `initrd-${hash.digest('hex').slice(0, 16)}.img`);
  await once(initrd, async (unfinished) => {
    tell('building the programs of the guest');
    const programs = `${unfinished}.programs`;
    const environment = { CGO_ENABLED: '0', GOWORK: 'off', GOOS: 'linux', GOARCH: 'amd64' };
    await runProgram('go', ['build', '-trimpath', '-ldflags', '-s -w', '-o', programs, '.'], {
      folder: image,
      environment,
    });
    await writeFile(unfinished, archive(await entriesOf(boot, await readFile(programs))));
    await rm(programs);
  });
  return initrd;
}

async function entriesOf(boot: BootFiles, programs: Buffer): Promise<ArchiveEntry[]> {
  const folders = ['dev', 'proc', 'sys', 'run', 'tmp', 'etc', 'bin', 'lib', 'lib/modules'];
  const files = await Promise.all(
    modules.map(async (name) => ({ name, content: await readFile(join(boot.modules, name)) })),
  );
  return [
    ...folders.map((path) => ({ kind: 'folder' as const, path })),
    // A Go program opens these at its start, before /dev is mounted.
    { kind: 'device', path: 'dev/null', major: 1, minor: 3 },
    { kind: 'device', path: 'dev/console', major: 5, minor: 1 },
    { kind: 'file', path: 'init', content: programs, isExecutable: true },
    { kind: 'link', path: 'bin/gcs', target: '/init' },
    { kind: 'link', path: 'bin/vsockexec', target: '/init' },
    { kind: 'file', path: 'bin/busybox', content: await readFile(boot.busybox), isExecutable: true },
    ...applets.map((name) => ({ kind: 'link' as const, path: `bin/${name}`, target: 'busybox' })),
    ...files.map(({ content, name }) => ({ kind: 'file' as const, path: `lib/modules/${basename(name)}`, content })),
    { kind: 'file', path: 'lib/modules/order', content: Buffer.from(modules.map((name) => basename(name)).join('\n')) },
  ];
}

/** The file or folder appears complete or not at all, so an interrupted or concurrent run does no harm. */
async function once(path: string, make: (unfinished: string) => Promise<unknown>): Promise<void> {
  const isThere = () =>
    access(path).then(
      () => true,
      () => false,
    );
  if (await isThere()) return;
  const unfinished = `${path}.${randomUUID()}`;
  try {
    await make(unfinished);
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    if (!(await isThere())) throw error;
  }
}

if (import.meta.main) {
  const bed = await prepareBed({ tell: (what) => process.stdout.write(`${what}\n`) });
  process.stdout.write(`${bed.kernel}\n${bed.initrd}\n`);
}
