// The user's own boot files instead of ours, so that any guest image can be tried with our host side. Given by
// `--kernel` and `--initrd`, or by the environment, which also passes them to the processes of a test run.
import { accessSync } from 'node:fs';
import { resolve } from 'node:path';

export interface OwnBootFiles {
  /** Absolute paths. Ours replaces a missing one. */
  readonly kernel?: string | undefined;
  readonly initrd?: string | undefined;
}

const variables = { kernel: 'LCOW_GUEST_KERNEL', initrd: 'LCOW_GUEST_INITRD' } as const;

/** Relative paths refer to the folder in which the user called npm; npm itself runs scripts in the project's folder. */
export function ownBootFiles(given: OwnBootFiles = {}, environment: NodeJS.ProcessEnv = process.env): OwnBootFiles {
  const from = environment['INIT_CWD'] ?? process.cwd();
  const find = (which: keyof typeof variables) => {
    const path = given[which] ?? environment[variables[which]];
    return path === undefined || path === '' ? undefined : readable(resolve(from, path), which);
  };
  return { kernel: find('kernel'), initrd: find('initrd') };
}

/** The environment in which `ownBootFiles` finds these. */
export function bootFilesEnvironment({ kernel, initrd }: OwnBootFiles): Readonly<Record<string, string>> {
  return {
    ...(kernel !== undefined && { [variables.kernel]: kernel }),
    ...(initrd !== undefined && { [variables.initrd]: initrd }),
  };
}

function readable(path: string, which: keyof typeof variables): string {
  try {
    accessSync(path);
    return path;
  } catch (error) {
    throw new Error(`the ${which} ${path} cannot be read`, { cause: error });
  }
}
