// Starts the process of a container. A Linux container gets its own root: the image's files, the volumes at their
// paths, the computer's libraries, and nothing else of the computer. The root is read-only, and the user is the one in
// the pod. A HostProcess container is a process of its node, as on Windows. Neither has limits of memory or processors,
// nor a process namespace.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { chmod, mkdir, open, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Command, compileCache, type HostProcesses, isAgentImage, type LinuxImage, linuxImage } from './images.ts';
import type { ContainerSpec, Pod } from './objects.ts';

const isRoot = process.getuid?.() === 0;
const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Folders of the computer: C libraries, certificates, devices. A shell-less image has fewer. */
const machineFolders = ['/bin', '/dev', '/etc', '/lib', '/lib64', '/proc', '/sbin', '/usr'];

export interface Launch {
  readonly pod: Pod;
  readonly container: ContainerSpec;
  /** Command and arguments, expanded. Empty: the entry point of the image. */
  readonly command: readonly string[];
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Words before the command that enter the network namespace. */
  readonly enter: readonly string[];
  /** A folder for this container, created for each start. */
  readonly directory: string;
  readonly volumePath: (name: string) => string;
  readonly hostFolder: (path: string) => string;
  /** Set on a Windows node. */
  readonly hostProcesses: HostProcesses | undefined;
  /** Replaces the operator of the work tree. */
  readonly operatorImage: LinuxImage | undefined;
  readonly logFile: string;
}

export async function launch(given: Launch): Promise<ChildProcess> {
  await mkdir(given.directory, { recursive: true });
  mkdirSync(compileCache, { recursive: true });
  if (isRoot) await chmod(compileCache, 0o1777);
  const hostProcess = given.pod.spec.securityContext.windowsOptions?.hostProcess === true;
  const { environment, words } = hostProcess ? await hostProcessCommand(given) : linuxCommand(given);
  await using log = await open(given.logFile, 'a');
  const [program = '', ...rest] = [...given.enter, ...words];
  const child = spawn(program, rest, {
    cwd: '/',
    env: { PATH: path, ...environment, ...given.environment },
    stdio: ['ignore', log.fd, log.fd],
  });
  await once(child, 'spawn');
  return child;
}

/** Ensures that no process outlives the test, however it ends. */
const endsWithUs = ['setpriv', '--pdeathsig', 'TERM'];

async function hostProcessCommand(given: Launch): Promise<Command> {
  if (!isAgentImage(given.container.image)) throw new Error(`image ${given.container.image} is not known here`);
  if (given.hostProcesses === undefined) throw new Error('HostProcess containers are for Windows nodes');
  for (const { name, mountPath } of given.container.volumeMounts) {
    // hostPath volumes are used by their path on the host.
    if (!mountPath.startsWith('/')) continue;
    const link = join(given.directory, mountPath);
    await mkdir(dirname(link), { recursive: true });
    await symlink(given.volumePath(name), link).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
  const { words, environment } = await given.hostProcesses({
    words: [...given.command, ...given.arguments],
    containerDirectory: given.directory,
    hostFolder: given.hostFolder,
  });
  return { words: [...endsWithUs, ...words], environment };
}

function linuxCommand(given: Launch): Command {
  const image = linuxImage(given.container.image, given.operatorImage);
  if (image === undefined) throw new Error(`image ${given.container.image} is not known here`);
  const { readOnlyRootFilesystem, runAsUser = given.pod.spec.securityContext.runAsUser } =
    given.container.securityContext;
  const script = [
    'set -e',
    `hostname ${quoted(given.pod.metadata.name)}`,
    `root=${quoted(given.directory)}`,
    'mount -t tmpfs -o mode=0755 tmpfs "$root"',
    ...machineFolders.map((folder) => mountFolder(folder)),
    ...[...image.files].map(([target, source]) => bind(source, target, true)),
    bind(compileCache, '/var/cache/node', false),
    ...given.container.volumeMounts.map((mount) => bind(given.volumePath(mount.name), mount.mountPath, mount.readOnly)),
    ...(readOnlyRootFilesystem ? ['mount -o remount,bind,ro "$root"'] : []),
    `exec chroot "$root" ${asUser(runAsUser).join(' ')} "$@"`,
  ].join('\n');
  const words = [...(given.command.length === 0 ? image.entryPoint : given.command), ...given.arguments];
  const unshare = ['unshare', '--mount', '--uts', '--propagation=private'];
  return {
    words: [...unshare, 'sh', '-c', script, 'sh', ...words.map((word) => image.word(word))],
    environment: { NODE_COMPILE_CACHE: '/var/cache/node' },
  };
}

/** Without root there is only one user. */
function asUser(user: number | undefined): readonly string[] {
  if (!isRoot || user === undefined) return endsWithUs;
  const id = String(user);
  return ['setpriv', '--reuid', id, '--regid', id, '--clear-groups', '--no-new-privs', '--pdeathsig', 'TERM'];
}

function mountFolder(folder: string): string {
  const target = `"$root"${folder}`;
  return [
    `if [ -L ${folder} ]; then cp -P ${folder} ${target}`,
    `elif [ -d ${folder} ]; then mkdir ${target} && mount --rbind ${folder} ${target}; fi`,
  ].join('\n');
}

function bind(source: string, target: string, readOnly: boolean): string {
  const place = `"$root"${quoted(target)}`;
  return [
    `mkdir -p "$(dirname ${place})"`,
    `if [ -d ${quoted(source)} ]; then mkdir -p ${place}; else : > ${place}; fi`,
    `mount --bind ${quoted(source)} ${place}`,
    ...(readOnly ? [`mount -o remount,bind,ro ${place}`] : []),
  ].join('\n');
}

const quoted = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`;
