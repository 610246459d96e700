// The message of Windows for an error code (FormatMessageW), as in the original's errors: in English if the system has
// it.
import koffi from 'koffi';
import { bindFunction, type NativeFunction } from './system-library.ts';

const fromSystem = 0x1000;
/** Leaves placeholders in the text as they are. */
const ignoreInserts = 0x0200;
const languages = { english: 0x0409, ofTheSystem: 0 } as const;
const capacity = 512;

export class WindowsError extends Error {
  override readonly name = 'WindowsError';
  /** The Win32 error. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export class SystemMessages {
  readonly #formatMessage: NativeFunction;

  constructor(kernel32: string) {
    const [pointer, units] = [koffi.pointer('void'), koffi.pointer('uint16_t')];
    this.#formatMessage = bindFunction(kernel32, 'FormatMessageW', 'uint32_t', [
      ...['uint32_t', pointer, 'uint32_t', 'uint32_t'],
      ...[units, 'uint32_t', pointer],
    ]);
  }

  error(code: number): WindowsError {
    return new WindowsError(
      code,
      this.#text(code, languages.english) ?? this.#text(code, languages.ofTheSystem) ?? `Win32 error ${code}`,
    );
  }

  #text(code: number, language: number): string | undefined {
    const units = new Uint16Array(capacity);
    const length: number = this.#formatMessage(fromSystem | ignoreInserts, null, code, language, units, capacity, null);
    if (length === 0) return undefined;
    return Buffer.from(units.buffer, 0, length * 2)
      .toString('utf16le')
      .trimEnd();
  }
}
