// The state folder on Windows. A double answers the native calls; `npm run test:wine` uses the real ones.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openPrivateFolder, privateFolderProblem } from '../../../agent/windows/private-folder.ts';
import type { WindowsLibraries } from '../../../agent/windows/system-library.ts';
import { buildDouble } from '../../support/doubles/build.ts';

let libraries: WindowsLibraries;
let failNext: (call: string, code: number) => void;
let accessOf: (path: string) => string;
let setOwner: (path: string, account: string) => void;
let held: () => number;
let folder: string;
let path: string;

const nobodyElse = 'D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;S-1-5-21-1-2-3-1000)';
const somebody = 'S-1-5-21-1-2-3-1001';

beforeAll(async () => {
  const library = await buildDouble('win32');
  const double = koffi.load(library);
  libraries = { computecore: '', kernel32: library, advapi32: library, ws2_32: '' };
  failNext = double.func('DoubleFail', 'void', ['str', 'uint32_t']);
  accessOf = double.func('DoubleAccessOf', 'str', ['str16']);
  setOwner = double.func('DoubleSetOwner', 'void', ['str16', 'str']);
  const allocated: () => number = double.func('DoubleAllocated', 'int', []);
  const openTokens: () => number = double.func('DoubleOpenTokens', 'int', []);
  held = () => allocated() + openTokens();
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'private-'));
  path = join(folder, 'state');
});
afterEach(async () => {
  expect(held()).toBe(0);
  await rm(folder, { recursive: true, force: true });
});

describe('a private folder', () => {
  it('is created with its parents, and from the start only SYSTEM, Administrators and this account can access it', async () => {
    const deep = join(folder, 'no', 'parents', 'state');
    await openPrivateFolder(deep, libraries);
    expect(accessOf(deep)).toBe(nobodyElse);
  });

  it.each(['S-1-5-18', 'S-1-5-32-544', 'S-1-5-21-1-2-3-1000'])(
    'of %s loses the access of all other accounts, including its contents',
    async (owner) => {
      await mkdir(path);
      await writeFile(join(path, 'a'), 'b');
      setOwner(path, owner);
      expect(await privateFolderProblem(path, libraries)).toBeUndefined();
      expect(accessOf(path)).toBe('(owner)');
      await openPrivateFolder(path, libraries);
      expect(accessOf(path)).toBe(nobodyElse);
      expect(await readFile(join(path, 'a'), 'utf8')).toBe('b');
    },
  );

  it('that belongs to another account is refused and left unchanged, and doctor reports why', async () => {
    await mkdir(path);
    setOwner(path, somebody);
    const problem = `${path} belongs to ${somebody}, not to SYSTEM, Administrators or S-1-5-21-1-2-3-1000`;
    await expect(openPrivateFolder(path, libraries)).rejects.toThrow(problem);
    expect(await privateFolderProblem(path, libraries)).toBe(problem);
    expect(accessOf(path)).toBe('(owner)');
  });

  it('must be a folder, and can be missing for doctor', async () => {
    expect(await privateFolderProblem(path, libraries)).toBeUndefined();
    await writeFile(path, '');
    await expect(openPrivateFolder(path, libraries)).rejects.toThrow('is not a folder');
    expect(await privateFolderProblem(path, libraries)).toBe(`${path} is not a folder`);
  });

  const callsOfNew = [
    ...['OpenProcessToken', 'GetTokenInformation', 'ConvertSidToStringSidW'],
    ...['ConvertStringSecurityDescriptorToSecurityDescriptorW', 'CreateDirectoryW'],
  ];
  const callsOfOld = ['GetNamedSecurityInfoW', 'GetSecurityDescriptorDacl', 'SetNamedSecurityInfoW'];

  it.each([...callsOfNew, ...callsOfOld])('fails with the cause when %s fails, and leaks nothing', async (call) => {
    if (callsOfOld.includes(call)) await mkdir(path);
    failNext(call, 5);
    await expect(openPrivateFolder(path, libraries)).rejects.toMatchObject({ code: 5, message: 'Access is denied.' });
    expect(held()).toBe(0);
  });
});
