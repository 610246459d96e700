// Processor time and memory of processes, as the kernel counts them.
import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';

export interface ProcessUse {
  readonly pid: number;
  readonly program: string;
  /** Since the process began, over all its threads. A tick is 10 ms. */
  readonly processorSeconds: number;
  readonly residentMebibytes: number;
}

/** A process and all its descendants. */
export async function processesBelow(root: number): Promise<readonly ProcessUse[]> {
  const parents = new Map<number, number>();
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    // A process that ended meanwhile is skipped.
    if (Number.isInteger(pid)) parents.set(pid, Number((await statOf(pid).catch(() => []))[1]));
  }
  const isBelow = (pid: number | undefined): boolean =>
    pid !== undefined && (pid === root || isBelow(parents.get(pid)));
  return await Promise.all([...parents.keys()].filter(isBelow).map(useOf));
}

export async function useOf(pid: number): Promise<ProcessUse> {
  const [stat, status, command] = await Promise.all([
    statOf(pid),
    readFile(`/proc/${pid}/status`, 'utf8'),
    readFile(`/proc/${pid}/cmdline`, 'utf8'),
  ]);
  return {
    pid,
    program: programOf(command.split('\0')),
    processorSeconds: (Number(stat[11]) + Number(stat[12])) / 100,
    residentMebibytes: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024,
  };
}

/** The fields after the name, which can contain spaces. */
async function statOf(pid: number): Promise<readonly string[]> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** A script is identified by its folder and name, another program by its first argument, if it has one. */
function programOf([path = '', ...words]: readonly string[]): string {
  const script = words.find((word, index) => word.endsWith('.ts') && words[index - 1] !== '--import');
  if (script !== undefined) {
    const parts = script.split('/');
    return parts.at(-1) === 'main.ts' ? parts.slice(-3, -1).join('/') : parts.slice(-2).join('/');
  }
  return [basename(path), ...words.filter((word) => /^[\w-]+$/.test(word)).slice(0, 1)].join(' ');
}
