// The access control list of a file, as text (SDDL). Changes nothing.
import koffi from 'koffi';
import { fileCalls } from './call-gates.ts';
import { bindSecurityInfo, fileObject, securityInformation } from './security-info.ts';
import {
  bindFunction,
  callAsync,
  type NativeFunction,
  type WindowsLibraries,
  windowsLibraries,
} from './system-library.ts';
import { SystemMessages } from './system-message.ts';

const sddlRevision = 1;
const success = 0;

const pointer = koffi.pointer('void');

/** Rejects with the `WindowsError` of a call, for example when there is no such file. */
export async function fileSecurity(path: string, libraries: WindowsLibraries = windowsLibraries()): Promise<string> {
  const { descriptorText, getSecurity, lastError, localFree } = bind(libraries);
  const messages = new SystemMessages(libraries.kernel32);
  const [dacl, descriptor]: [[bigint | null], [bigint | null]] = [[null], [null]];
  try {
    const code = await fileCalls.pass(() =>
      callAsync(getSecurity, path, fileObject, securityInformation.dacl, null, null, dacl, null, descriptor),
    );
    if (code !== success) throw messages.error(code);
    const text: [string | null] = [null];
    const succeeded: number = descriptorText(descriptor[0], sddlRevision, securityInformation.dacl, text, null);
    if (succeeded === 0 || text[0] === null) throw messages.error(Number(lastError()));
    return text[0];
  } finally {
    // The list is part of the descriptor.
    if (descriptor[0] !== null) localFree(descriptor[0]);
  }
}

function bind({ advapi32, kernel32 }: WindowsLibraries) {
  const localFree: NativeFunction = bindFunction(kernel32, 'LocalFree', 'void *', [pointer]);
  // The text is copied to JavaScript, then freed.
  const textOut = koffi.out(koffi.pointer(koffi.disposable('str16', localFree)));
  return {
    localFree,
    lastError: bindFunction(kernel32, 'GetLastError', 'uint32_t', []),
    getSecurity: bindSecurityInfo({ advapi32 }),
    descriptorText: bindFunction(advapi32, 'ConvertSecurityDescriptorToStringSecurityDescriptorW', 'int32_t', [
      ...[pointer, 'uint32_t', 'uint32_t', textOut, pointer],
    ]),
  };
}
