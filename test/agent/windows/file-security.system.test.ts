// Reads the access control list of a file. A double answers the native calls; `npm run test:wine` uses the real ones.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { fileSecurity } from '../../../agent/windows/file-security.ts';
import { openPrivateFolder } from '../../../agent/windows/private-folder.ts';
import type { WindowsLibraries } from '../../../agent/windows/system-library.ts';
import { buildDouble } from '../../support/doubles/build.ts';

let libraries: WindowsLibraries;
let failNext: (call: string, code: number) => void;
let allocated: () => number;
let folder: string;
let path: string;

beforeAll(async () => {
  const library = await buildDouble('win32');
  const double = koffi.load(library);
  libraries = { computecore: '', kernel32: library, advapi32: library, ws2_32: '' };
  failNext = double.func('DoubleFail', 'void', ['str', 'uint32_t']);
  allocated = double.func('DoubleAllocated', 'int', []);
  folder = await mkdtemp(join(tmpdir(), 'security-'));
  path = join(folder, 'private');
  await openPrivateFolder(path, libraries);
});
afterEach(() => expect(allocated()).toBe(0));
afterAll(() => rm(folder, { recursive: true, force: true }));

it('the access control list of a file is read as text', async () => {
  const text = 'D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;S-1-5-21-1-2-3-1000)';
  expect(await fileSecurity(path, libraries)).toBe(text);
});

it.each(['GetNamedSecurityInfoW', 'ConvertSecurityDescriptorToStringSecurityDescriptorW'])(
  'a failure of %s has the message of Windows',
  async (call) => {
    failNext(call, 5);
    await expect(fileSecurity(path, libraries)).rejects.toThrow('Access is denied.');
  },
);
