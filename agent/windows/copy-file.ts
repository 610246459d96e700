// Copies a file like CopyFileW, overwriting. Uses CopyFile2 because it returns the cause of a failure. CopyFileW leaves
// the cause as the last error of its thread, which is lost when the call runs on libuv's pool.
import koffi from 'koffi';
import { fileCalls } from './call-gates.ts';
import { bindFunction, callAsync, type NativeFunction } from './system-library.ts';
import type { SystemMessages } from './system-message.ts';

const failed = 0x8000_0000;
/** HRESULT_FROM_WIN32 (hcs-runtime A.6). */
const win32Mask = 0x1fff_0000;
const win32Facility = 0x0007_0000;

export class FileCopier {
  readonly #copyFile: NativeFunction;
  readonly #messages: SystemMessages;

  constructor(kernel32: string, messages: SystemMessages) {
    this.#copyFile = bindFunction(kernel32, 'CopyFile2', 'int32_t', ['str16', 'str16', koffi.pointer('void')]);
    this.#messages = messages;
  }

  async copy(from: string, to: string): Promise<void> {
    const hresult = await fileCalls.pass(() => callAsync(this.#copyFile, from, to, null));
    if (hresult < failed) return;
    throw this.#messages.error((hresult & win32Mask) === win32Facility ? hresult & 0xffff : hresult);
  }
}
