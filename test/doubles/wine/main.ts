// `npm run test:wine`: the contract of HCS backends with the Windows build of Node and koffi, on the double as a DLL.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  buildComputeCore,
  compiler,
  linkProject,
  makeBed,
  startWindows,
  type WineBed,
  windowsPath,
  wine,
} from './bed.ts';

/** Windows programs under wine cannot write to a Linux pipe: their output goes through a file. */
async function runNode(bed: WineBed, program: string, ...parameters: readonly string[]): Promise<number> {
  const outputPath = join(bed.folder, 'output.txt');
  const output = await open(outputPath, 'w');
  const child = spawn(wine, [join(bed.folder, 'node.exe'), windowsPath(program), ...parameters], {
    env: bed.environment,
    stdio: ['ignore', output.fd, output.fd],
  });
  const [code] = await once(child, 'exit');
  await output.close();
  process.stdout.write(await readFile(outputPath));
  return Number(code ?? 1);
}

const bed = await makeBed();
if (bed === undefined) {
  process.stderr.write(`test:wine needs ${wine} and ${compiler} (Debian: wine64, gcc-mingw-w64-x86-64-win32)\n`);
  process.exitCode = 1;
} else {
  const library = await buildComputeCore(bed);
  const tree = await linkProject(bed);
  await startWindows(bed);
  process.exitCode = await runNode(bed, join(tree, 'test/doubles/wine/contract.ts'), windowsPath(library));
}
