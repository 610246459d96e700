// Reads what belongs to the security descriptor of a file: GetNamedSecurityInfoW.
import koffi from 'koffi';
import { bindFunction, type NativeFunction, type WindowsLibraries } from './system-library.ts';

/** SE_FILE_OBJECT */
export const fileObject = 1;
/** SECURITY_INFORMATION */
export const securityInformation = { owner: 1, dacl: 4, protectedDacl: 0x8000_0000 } as const;

const pointerOut = koffi.out(koffi.pointer(koffi.pointer('void')));

/**
 * Parameters: path, object type, information, then the addresses of owner, group, DACL, SACL and descriptor. What the
 * first four receive is part of the descriptor, which the caller frees with LocalFree.
 */
export function bindSecurityInfo({ advapi32 }: Pick<WindowsLibraries, 'advapi32'>): NativeFunction {
  return bindFunction(advapi32, 'GetNamedSecurityInfoW', 'uint32_t', [
    ...['str16', 'int32_t', 'uint32_t'],
    ...[pointerOut, pointerOut, pointerOut, pointerOut, pointerOut],
  ]);
}
