// There is no container runtime, so an image is a rule that makes the work tree look like the image: its entry point is that
// of the Dockerfile, the Node in it is the packaged one, and of a compiled `main.js` the `main.ts` is run.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { programs } from '../../images/programs.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));
const dockerfile = readFileSync(new URL('../../Dockerfile', import.meta.url), 'utf8');

export interface LinuxImage {
  readonly entryPoint: readonly string[];
  /** Path in the container → what is there. */
  readonly files: ReadonlyMap<string, string>;
}

export const operatorImage: LinuxImage = {
  entryPoint: entryPointOf('operator'),
  files: new Map([
    [`/${programs.operator.folder}/node`, process.execPath],
    ...['crds', 'node_modules', 'operator', 'package.json', 'protocol'].map(
      (name) => [`/${programs.operator.folder}/${name}`, `${project}${name}`] as const,
    ),
  ]),
};

/** Only images of ours are known. */
export function linuxImage(reference: string): LinuxImage | undefined {
  return /\/lcow-operator(?=[:@])/.test(reference) ? operatorImage : undefined;
}

export const isAgentImage = (reference: string) => /\/lcow-agent(?=[:@])/.test(reference);

/** In a container of the operator's image: what is not compiled here is run from its source. */
export function fromSource(word: string): string {
  return /^\/lcow-operator\/.*\.js$/.test(word) ? word.replace(/\.js$/, '.ts') : word;
}

const sandbox = '%CONTAINER_SANDBOX_MOUNT_POINT%';

export interface SimulatedWindows {
  /** Where the volumes of the container are, by their mount paths. */
  readonly containerDirectory: string;
  /** Folder of the node that a Windows path means. */
  readonly hostFolder: (path: string) => string;
  /** Socket of the simulated compute service. */
  readonly socket: string;
}

/**
 * A command of the agent's image on a simulated Windows node, whose paths are Linux ones. The rule, word by word:
 * - `…\lcow-agent\node.exe` and `…\lcow-agent\agent\main.js` are the packaged Node and `agent/main.ts`;
 * - what follows `%CONTAINER_SANDBOX_MOUNT_POINT%` is a path below the folder with the volumes;
 * - `--state-dir=<folder>` is the folder on the node's disk, and the agent is told its Windows path by `--state-folder`;
 * - `--backend=computecore` becomes the simulated one, with the node's socket.
 */
export function onSimulatedWindows(words: readonly string[], windows: SimulatedWindows): readonly string[] {
  return words.flatMap((word) => {
    if (word === `${sandbox}\\lcow-agent\\node.exe`) return [process.execPath];
    if (word === `${sandbox}\\lcow-agent\\agent\\main.js`) return [`${project}agent/main.ts`];
    if (word === '--backend=computecore') return ['--backend=simulated', `--simulated-socket=${windows.socket}`];
    const [, stateDir] = /^--state-dir=(.+)$/.exec(word) ?? [];
    if (stateDir !== undefined) return [`--state-dir=${windows.hostFolder(stateDir)}`, `--state-folder=${stateDir}`];
    const [before = '', path] = word.split(sandbox);
    return [path === undefined ? word : `${before}${windows.containerDirectory}${path.replaceAll('\\', '/')}`];
  });
}

function entryPointOf(target: string): readonly string[] {
  const stage = dockerfile.split(/^FROM /m).find((each) => each.split('\n')[0]?.endsWith(` AS ${target}`));
  const [, list = '[]'] = /^ENTRYPOINT (.+)$/m.exec(stage ?? '') ?? [];
  return z.array(z.string()).min(1).parse(JSON.parse(list));
}
