// The plugin for Windows as one program: Node with our script in it ("single executable application"). A batch file as
// launcher would let the shell of Windows interpret the arguments of `exec`.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type FetchedNode, writeProgram } from './node-packages.ts';

const run = promisify(execFile);

/** Where Node looks for a script in itself (https://nodejs.org/api/single-executable-applications.html). */
const resource = 'NODE_SEA_BLOB';
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/** @param own the same version of Node for the platform that this build runs on: it writes the script's form */
export async function windowsProgram(script: string, node: FetchedNode, own: FetchedNode): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'windows-program-'));
  const at = (name: string) => join(folder, name);
  try {
    // Relative paths: Node writes that of the script into the program.
    const settings = { main: 'kubectl-luvm.cjs', output: 'blob', disableExperimentalSEAWarning: true };
    await writeFile(at('kubectl-luvm.cjs'), script);
    await writeFile(at('settings.json'), JSON.stringify(settings));
    await writeProgram(own, at('node'));
    await run(at('node'), ['--experimental-sea-config', 'settings.json'], { cwd: folder });
    await writeProgram(node, at('program.exe'));
    const postject = createRequire(import.meta.url).resolve('postject/dist/cli.js');
    const arguments_ = [postject, at('program.exe'), resource, at('blob'), '--sentinel-fuse', fuse];
    await run(process.execPath, arguments_, { maxBuffer: 16 << 20 });
    return await readFile(at('program.exe'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
