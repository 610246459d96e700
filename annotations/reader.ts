// The annotations of one pod while they are read. Each look-up that finds a value it cannot parse adds hcsshim's warning
// (docs/reference/hcs-documents.md §9.1), so the order of the look-ups is the order of the warnings.
import { parseBool, parseInt32, parseList, parseUint32, parseUint64 } from './values.ts';

export interface AnnotationWarning {
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** An annotation that hcsshim ignores because of its value. */
export interface IgnoredAnnotation {
  readonly key: string;
  readonly value: string;
  readonly problem: string;
  readonly warns: boolean;
}

type ValueType = 'bool' | 'int32' | 'uint32' | 'uint64' | 'hcsschema.HvSocketServiceConfig';

const expectations: Readonly<Record<ValueType, string>> = {
  bool: 'true or false',
  int32: 'a whole number of 32 bits',
  uint32: 'a whole number from 0 to 4294967295',
  uint64: 'a whole number from 0 to 18446744073709551615',
  'hcsschema.HvSocketServiceConfig': 'JSON of a service configuration',
};

export class AnnotationReader {
  readonly #annotations: Map<string, string>;
  readonly #warnings: AnnotationWarning[] = [];
  readonly #ignored = new Map<string, IgnoredAnnotation>();

  constructor(annotations: Map<string, string>) {
    this.#annotations = annotations;
  }

  get warnings(): readonly AnnotationWarning[] {
    return this.#warnings;
  }

  get ignored(): readonly IgnoredAnnotation[] {
    return [...this.#ignored.values()];
  }

  entries(): Iterable<readonly [key: string, value: string]> {
    return this.#annotations;
  }

  text(key: string): string | undefined {
    return this.#annotations.get(key);
  }

  bool(key: string): boolean | undefined {
    return this.#parsed(key, 'bool', parseBool);
  }

  int32(key: string): number | undefined {
    return this.#parsed(key, 'int32', parseInt32);
  }

  uint32(key: string): number | undefined {
    return this.#parsed(key, 'uint32', parseUint32);
  }

  uint64(key: string): bigint | undefined {
    return this.#parsed(key, 'uint64', parseUint64);
  }

  /** hcsshim ignores an unparsable list of this type without a warning. */
  uint32List(key: string): number[] | undefined {
    const text = this.text(key);
    if (text === undefined || text === '') return undefined;
    const list = parseList(text, parseUint32);
    if (list === undefined)
      this.#ignore(key, text, 'the value is not a list of numbers such as 0,1, without spaces', false);
    return list?.slice();
  }

  uint64List(key: string): bigint[] | undefined {
    const text = this.text(key);
    if (text === undefined || text === '') return undefined;
    const list = parseList(text, parseUint64);
    if (list === undefined) {
      this.warnUnparsed(key, text, 'uint64');
      this.#ignore(key, text, 'the value is not a list of numbers such as 512,512, without spaces', true);
    }
    return list?.slice();
  }

  warnUnparsed(key: string, value: string, type: ValueType): void {
    this.warn('annotation value could not be parsed', { 'oci-annotation': key, value, 'expected-type': type });
    this.#ignore(key, value, `the value is not ${expectations[type]}`, true);
  }

  warn(message: string, fields: AnnotationWarning['fields']): void {
    this.#warnings.push({ message, fields });
  }

  /** Of a value that is not of a plain type. If `warns`, the caller warns in the original's words. */
  ignore(key: string, value: string, problem: string, warns = true): void {
    this.#ignore(key, value, problem, warns);
  }

  #parsed<T>(key: string, type: ValueType, parse: (text: string) => T | undefined): T | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value === undefined) this.warnUnparsed(key, text, type);
    return value;
  }

  #ignore(key: string, value: string, problem: string, warns: boolean): void {
    this.#ignored.set(key, { key, value, problem, warns });
  }
}
