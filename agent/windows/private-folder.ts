// A folder for SYSTEM, Administrators and this process's account only (design §8). The agent trusts the content of its
// state folder, and every user of the host can by default access a folder below %ProgramData%.
import { lstat, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import koffi from 'koffi';
import { fileCalls } from './call-gates.ts';
import { bindSecurityInfo, fileObject, securityInformation as information } from './security-info.ts';
import {
  bindFunction,
  callAsync,
  type NativeFunction,
  type WindowsLibraries,
  windowsLibraries,
} from './system-library.ts';
import { SystemMessages, WindowsError } from './system-message.ts';

const success = 0;
const fileNotFound = 2;
const alreadyExists = 183;
const sddlRevision = 1;
const currentProcess = -1;
const tokenQuery = 8;
const tokenUser = 1;
/** A SID has at most 68 bytes, preceded by a pointer and a number. */
const tokenUserBytes = 128;
/** SYSTEM, Administrators. */
const trustedOwners: readonly string[] = ['S-1-5-18', 'S-1-5-32-544'];

/** The folder belongs to an account that must not have access, or the path is not a folder. */
export class ForeignFolderError extends Error {
  override readonly name = 'ForeignFolderError';
}

/**
 * Creates the folder, or removes all other accounts' access to an existing one. Files in it with explicit entries keep
 * them. Rejects with a `ForeignFolderError`, or with the `WindowsError` of a call.
 */
export async function openPrivateFolder(path: string, libraries: WindowsLibraries = windowsLibraries()): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await new PrivateFolders(libraries).open(path);
}

/**
 * Why `openPrivateFolder` would refuse the folder; undefined if it would not, or if the folder is missing. Changes
 * nothing.
 */
export async function privateFolderProblem(
  path: string,
  libraries: WindowsLibraries = windowsLibraries(),
): Promise<string | undefined> {
  try {
    await new PrivateFolders(libraries).check(path);
    return undefined;
  } catch (error) {
    if (error instanceof ForeignFolderError) return error.message;
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * The account that owns a file in a private folder without having access to the folder; undefined when there is no such
 * file or owner.
 */
export function foreignFileProblem(path: string, libraries: WindowsLibraries): string | undefined {
  try {
    return new PrivateFolders(libraries).ownerProblem(path);
  } catch (error) {
    if (error instanceof WindowsError && error.code === fileNotFound) return undefined;
    throw error;
  }
}

class PrivateFolders {
  readonly #calls: ReturnType<typeof bind>;
  readonly #messages: SystemMessages;

  constructor(libraries: WindowsLibraries) {
    this.#calls = bind(libraries);
    this.#messages = new SystemMessages(libraries.kernel32);
  }

  async open(path: string): Promise<void> {
    const self = this.#ownAccount();
    const accounts = ['SY', 'BA', self];
    const descriptor = this.#descriptor(`D:P${accounts.map((account) => `(A;OICI;FA;;;${account})`).join('')}`);
    try {
      if (this.#create(path, descriptor)) return;
      await this.check(path, self);
      await this.#protect(path, descriptor);
    } finally {
      this.#calls.localFree(descriptor);
    }
  }

  async check(path: string, self = this.#ownAccount()): Promise<void> {
    if (!(await lstat(path)).isDirectory()) throw new ForeignFolderError(`${path} is not a folder`);
    const problem = this.ownerProblem(path, self);
    if (problem !== undefined) throw new ForeignFolderError(problem);
  }

  ownerProblem(path: string, self = this.#ownAccount()): string | undefined {
    const owner = this.#ownerOf(path);
    if ([...trustedOwners, self].includes(owner)) return undefined;
    return `${path} belongs to ${owner}, not to SYSTEM, Administrators or ${self}`;
  }

  /** False when the folder exists already. */
  #create(path: string, descriptor: bigint): boolean {
    const attributes = { nLength: securityAttributesBytes, lpSecurityDescriptor: descriptor, bInheritHandle: 0 };
    if (this.#calls.createDirectory(path, attributes) !== 0) return true;
    const code = Number(this.#calls.lastError());
    if (code !== alreadyExists) throw this.#messages.error(code);
    return false;
  }

  async #protect(path: string, descriptor: bigint): Promise<void> {
    const dacl: [bigint | null] = [null];
    this.#need(this.#calls.descriptorDacl(descriptor, [0], dacl, [0]));
    const what = (information.dacl | information.protectedDacl) >>> 0;
    // Changes everything that inherits from the folder, which can take a while.
    const code = await fileCalls.pass(() =>
      callAsync(this.#calls.setSecurity, path, fileObject, what, null, null, dacl[0], null),
    );
    if (code !== success) throw this.#messages.error(code);
  }

  #descriptor(text: string): bigint {
    const descriptor: [bigint | null] = [null];
    this.#need(this.#calls.descriptorOf(text, sddlRevision, descriptor, null));
    return descriptor[0] ?? this.#failed();
  }

  #ownerOf(path: string): string {
    const [owner, descriptor]: [bigint | null][] = [[null], [null]];
    const code: number = this.#calls.getSecurity(
      path,
      fileObject,
      information.owner,
      owner,
      null,
      null,
      null,
      descriptor,
    );
    if (code !== success) throw this.#messages.error(code);
    try {
      return this.#sidText(owner?.[0]);
    } finally {
      this.#calls.localFree(descriptor?.[0]);
    }
  }

  #ownAccount(): string {
    const token: [number | bigint] = [0];
    this.#need(this.#calls.openToken(currentProcess, tokenQuery, token));
    // The structure contains a pointer into itself, so it must not move.
    const answer = koffi.alloc('uint8_t', tokenUserBytes);
    try {
      this.#need(this.#calls.tokenInformation(token[0], tokenUser, answer, tokenUserBytes, [0]));
      return this.#sidText(koffi.decode(answer, pointer));
    } finally {
      koffi.free(answer);
      this.#calls.closeHandle(token[0]);
    }
  }

  #sidText(sid: unknown): string {
    const text: [string | null] = [null];
    this.#need(this.#calls.sidText(sid, text));
    return text[0] ?? this.#failed();
  }

  #need(succeeded: number): void {
    if (succeeded === 0) this.#failed();
  }

  #failed(): never {
    throw this.#messages.error(Number(this.#calls.lastError()));
  }
}

const pointer = koffi.pointer('void');
const securityAttributes = koffi.struct({
  nLength: 'uint32_t',
  lpSecurityDescriptor: pointer,
  bInheritHandle: 'int32_t',
});
const securityAttributesBytes = koffi.sizeof(securityAttributes);

function bind({ advapi32, kernel32 }: WindowsLibraries) {
  const pointerOut = koffi.out(koffi.pointer(pointer));
  const int32Out = koffi.out(koffi.pointer('int32_t'));
  const localFree: NativeFunction = bindFunction(kernel32, 'LocalFree', 'void *', [pointer]);
  // The text is copied to JavaScript, then freed.
  const textOut = koffi.out(koffi.pointer(koffi.disposable('str16', localFree)));
  return {
    localFree,
    lastError: bindFunction(kernel32, 'GetLastError', 'uint32_t', []),
    closeHandle: bindFunction(kernel32, 'CloseHandle', 'int32_t', ['intptr_t']),
    createDirectory: bindFunction(kernel32, 'CreateDirectoryW', 'int32_t', [
      'str16',
      koffi.pointer(securityAttributes),
    ]),
    openToken: bindFunction(advapi32, 'OpenProcessToken', 'int32_t', [
      ...['intptr_t', 'uint32_t'],
      koffi.out(koffi.pointer('intptr_t')),
    ]),
    tokenInformation: bindFunction(advapi32, 'GetTokenInformation', 'int32_t', [
      ...['intptr_t', 'int32_t', pointer, 'uint32_t', int32Out],
    ]),
    sidText: bindFunction(advapi32, 'ConvertSidToStringSidW', 'int32_t', [pointer, textOut]),
    descriptorOf: bindFunction(advapi32, 'ConvertStringSecurityDescriptorToSecurityDescriptorW', 'int32_t', [
      ...['str16', 'uint32_t', pointerOut, pointer],
    ]),
    descriptorDacl: bindFunction(advapi32, 'GetSecurityDescriptorDacl', 'int32_t', [
      ...[pointer, int32Out, pointerOut, int32Out],
    ]),
    getSecurity: bindSecurityInfo({ advapi32 }),
    setSecurity: bindFunction(advapi32, 'SetNamedSecurityInfoW', 'uint32_t', [
      ...['str16', 'int32_t', 'uint32_t', pointer, pointer, pointer, pointer],
    ]),
  };
}
