// A file that nobody else can open while this process lives: the handle shares nothing, and Windows closes it when the
// process ends, however that happens. The file is never deleted, because for a while nobody can open a file that is
// being deleted.
import koffi from 'koffi';
import { foreignFileProblem } from './private-folder.ts';
import { bindFunction, type WindowsLibraries, windowsLibraries } from './system-library.ts';
import { SystemMessages } from './system-message.ts';

/** Windows checks sharing only for access to the data. */
const readAndWrite = 0xc000_0000;
const shareNothing = 0;
const openAlways = 4;
/** Opens a link itself, not its target. */
const openReparsePoint = 0x0020_0000;
const invalidHandle = -1n;
const sharingViolation = 32;

export interface ExclusiveFile {
  close(): void;
}

/**
 * Undefined while somebody else has the file open. Throws when the file belongs to an account that has no access to the
 * folder: that account may have created the file before the folder was protected and could hold it indefinitely.
 */
export function openExclusively(
  path: string,
  libraries: WindowsLibraries = windowsLibraries(),
): ExclusiveFile | undefined {
  const problem = foreignFileProblem(path, libraries);
  if (problem !== undefined) throw new Error(`${problem}: delete it`);
  const { closeHandle, createFile, lastError } = bind(libraries);
  const handle: number | bigint = createFile(
    ...[path, readAndWrite, shareNothing, null, openAlways, openReparsePoint, null],
  );
  if (BigInt(handle) !== invalidHandle) return { close: () => void closeHandle(handle) };
  const code = Number(lastError());
  if (code === sharingViolation) return undefined;
  throw new SystemMessages(libraries.kernel32).error(code);
}

function bind({ kernel32 }: WindowsLibraries) {
  const pointer = koffi.pointer('void');
  return {
    createFile: bindFunction(kernel32, 'CreateFileW', 'intptr_t', [
      ...['str16', 'uint32_t', 'uint32_t'],
      pointer,
      ...['uint32_t', 'uint32_t'],
      pointer,
    ]),
    closeHandle: bindFunction(kernel32, 'CloseHandle', 'int32_t', ['intptr_t']),
    lastError: bindFunction(kernel32, 'GetLastError', 'uint32_t', []),
  };
}
