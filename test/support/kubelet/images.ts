// Images without a container runtime: a rule makes the work tree look like the image. The entry point is that of the
// Dockerfile, its Node is the packaged one, and instead of a compiled `main.js` the `main.ts` runs.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { programs } from '../../../images/programs.ts';
import { cacheFolder } from '../cache-folder.ts';

const project = fileURLToPath(new URL('../../../', import.meta.url));
/** Programs of any user write to this cache. */
export const compileCache = join(cacheFolder, 'kubelet-compile-cache');
const dockerfile = readFileSync(new URL('../../../Dockerfile', import.meta.url), 'utf8');

export interface LinuxImage {
  readonly entryPoint: readonly string[];
  /** Path in the container → its content. */
  readonly files: ReadonlyMap<string, string>;
  /** Translates a word of a command. */
  readonly word: (word: string) => string;
}

/** The operator of the work tree, run from its sources without compiling. */
const operatorOfWorkTree: LinuxImage = {
  entryPoint: entryPointOf('operator'),
  files: new Map([
    [`/${programs.operator.folder}/node`, process.execPath],
    ...['crds', 'node_modules', 'operator', 'package.json', 'protocol', 'runtime', 'sets'].map(
      (name) => [`/${programs.operator.folder}/${name}`, `${project}${name}`] as const,
    ),
  ]),
  word: (word) => (/^\/lcow-operator\/.*\.js$/.test(word) ? word.replace(/\.js$/, '.ts') : word),
};

/** The result of `npm run image:rootfs -- operator`. */
export function unpackedOperator(rootFileSystem: string): LinuxImage {
  const home = `/${programs.operator.folder}`;
  return { entryPoint: entryPointOf('operator'), files: new Map([[home, `${rootFileSystem}${home}`]]), word: String };
}

/** Knows only our images. */
export function linuxImage(reference: string, operator = operatorOfWorkTree): LinuxImage | undefined {
  return /\/lcow-operator(?=[:@])/.test(reference) ? operator : undefined;
}

export const isAgentImage = (reference: string) => /\/lcow-agent(?=[:@])/.test(reference);

/** A container runtime on Windows replaces this with the folder of the container. */
export const sandbox = '%CONTAINER_SANDBOX_MOUNT_POINT%';

export interface HostProcess {
  /** Command and arguments, expanded. */
  readonly words: readonly string[];
  /** Contains the volumes of the container, by their mount paths. */
  readonly containerDirectory: string;
  /** The local folder for a Windows path of the node. */
  readonly hostFolder: (path: string) => string;
}

export interface Command {
  readonly words: readonly string[];
  /** Added to the container's environment, which wins. */
  readonly environment: NodeJS.ProcessEnv;
}

/** Translates the command of a HostProcess container for the Windows node. */
export type HostProcesses = (given: HostProcess) => Promise<Command> | Command;

/**
 * A command of the agent's image on a simulated Windows node, whose paths are Linux ones. The rule, word by word:
 * - `…\lcow-agent\node.exe` and `…\lcow-agent\agent\main.js` are the packaged Node and `simulator/agent.ts`, with the
 *   socket of the node's compute service;
 * - what follows `%CONTAINER_SANDBOX_MOUNT_POINT%` is a path below the folder with the volumes;
 * - `--state-dir=<folder>` is the folder on the node's disk, and the agent is told its Windows path by `--state-folder`.
 */
export function onSimulatedWindows(socket: string): HostProcesses {
  return ({ words, ...folders }) => ({
    words: words.flatMap((word) => simulatedWord(word, { ...folders, socket })),
    environment: { NODE_COMPILE_CACHE: compileCache },
  });
}

function simulatedWord(word: string, node: Omit<HostProcess, 'words'> & { readonly socket: string }): string[] {
  if (word === `${sandbox}\\lcow-agent\\node.exe`) return [process.execPath];
  if (word === `${sandbox}\\lcow-agent\\agent\\main.js`)
    return [`${project}simulator/agent.ts`, `--simulated-socket=${node.socket}`];
  const [, stateDir] = /^--state-dir=(.+)$/.exec(word) ?? [];
  if (stateDir !== undefined) return [`--state-dir=${node.hostFolder(stateDir)}`, `--state-folder=${stateDir}`];
  const [before = '', path] = word.split(sandbox);
  return [path === undefined ? word : `${before}${node.containerDirectory}${path.replaceAll('\\', '/')}`];
}

function entryPointOf(target: string): readonly string[] {
  const stage = dockerfile.split(/^FROM /m).find((each) => each.split('\n')[0]?.endsWith(` AS ${target}`));
  const [, list = '[]'] = /^ENTRYPOINT (.+)$/m.exec(stage ?? '') ?? [];
  return z.array(z.string()).min(1).parse(JSON.parse(list));
}
