// Gives the worker processes of all VMs access to a file (hcs-runtime G.2): adds an entry for their group to the DACL
// and keeps the existing entries.
import { stat } from 'node:fs/promises';
import koffi from 'koffi';
import { fileCalls } from './call-gates.ts';
import { bindSecurityInfo, fileObject, securityInformation } from './security-info.ts';
import { bindFunction, callAsync, type NativeFunction, type WindowsLibraries } from './system-library.ts';
import type { SystemMessages } from './system-message.ts';

/** The generic rights that can be granted. */
export const accessMasks = { read: 0x8000_0000, all: 0x1000_0000 } as const;

const grantAccess = 1;
const noMultipleTrustee = 0;
const trusteeIsSid = 0;
const trusteeIsWellKnownGroup = 5;
const inheritance = { file: 0, folder: 3 } as const;
const success = 0;

/** S-1-5-83-0, `NT VIRTUAL MACHINE\Virtual Machines`: revision, count, authority, two sub-authorities. */
const groupSid = Uint8Array.of(1, 2, 0, 0, 0, 0, 0, 5, 83, 0, 0, 0, 0, 0, 0, 0);

const pointer = koffi.pointer('void');
const pointerOut = koffi.out(koffi.pointer(pointer));
const trustee = koffi.struct({
  pMultipleTrustee: pointer,
  MultipleTrusteeOperation: 'int32_t',
  TrusteeForm: 'int32_t',
  TrusteeType: 'int32_t',
  ptstrName: pointer,
});
const explicitAccess = koffi.struct({
  grfAccessPermissions: 'uint32_t',
  grfAccessMode: 'int32_t',
  grfInheritance: 'uint32_t',
  Trustee: trustee,
});

export class VmGroupAccess {
  readonly #getSecurity: NativeFunction;
  readonly #setEntries: NativeFunction;
  readonly #setSecurity: NativeFunction;
  readonly #localFree: NativeFunction;
  readonly #messages: SystemMessages;
  /** Native code uses this pointer only during a call, but during a call the memory must not move. */
  readonly #sid: unknown;

  constructor({ advapi32, kernel32 }: Pick<WindowsLibraries, 'advapi32' | 'kernel32'>, messages: SystemMessages) {
    this.#getSecurity = bindSecurityInfo({ advapi32 });
    this.#setEntries = bindFunction(advapi32, 'SetEntriesInAclW', 'uint32_t', [
      ...['uint32_t', koffi.pointer(explicitAccess), pointer, pointerOut],
    ]);
    this.#setSecurity = bindFunction(advapi32, 'SetNamedSecurityInfoW', 'uint32_t', [
      ...['str16', 'int32_t', 'uint32_t', pointer, pointer, pointer, pointer],
    ]);
    this.#localFree = bindFunction(kernel32, 'LocalFree', 'void *', [pointer]);
    this.#messages = messages;
    this.#sid = koffi.alloc('uint8_t', groupSid.length);
    koffi.encode(this.#sid, koffi.array('uint8_t', groupSid.length), groupSid);
  }

  async grant(path: string, mask: number = accessMasks.all): Promise<void> {
    if ((mask & 0x0fff_ffff) !== 0 || mask === 0)
      throw new RangeError(`${mask.toString(16)} is not a generic access mask`);
    const isFolder = (await stat(path)).isDirectory();
    await fileCalls.pass(() => this.#grant(path, mask, isFolder ? inheritance.folder : inheritance.file));
  }

  async #grant(path: string, mask: number, inherited: number): Promise<void> {
    const dacl: [bigint | null] = [null];
    const descriptor: [bigint | null] = [null];
    const changed: [bigint | null] = [null];
    try {
      await this.#call(
        this.#getSecurity,
        path,
        fileObject,
        securityInformation.dacl,
        null,
        null,
        dacl,
        null,
        descriptor,
      );
      await this.#call(this.#setEntries, 1, this.#entry(mask, inherited), dacl[0], changed);
      await this.#call(this.#setSecurity, path, fileObject, securityInformation.dacl, null, null, changed[0], null);
    } finally {
      // The old DACL is part of the descriptor, so freeing the descriptor frees it.
      for (const [memory] of [changed, descriptor]) if (memory !== null) this.#localFree(memory);
    }
  }

  #entry(mask: number, inherited: number) {
    return {
      grfAccessPermissions: mask,
      grfAccessMode: grantAccess,
      grfInheritance: inherited,
      Trustee: {
        pMultipleTrustee: null,
        MultipleTrusteeOperation: noMultipleTrustee,
        TrusteeForm: trusteeIsSid,
        TrusteeType: trusteeIsWellKnownGroup,
        ptstrName: this.#sid,
      },
    };
  }

  async #call(native: NativeFunction, ...parameters: unknown[]): Promise<void> {
    const code = await callAsync(native, ...parameters);
    if (code !== success) throw this.#messages.error(code);
  }
}
