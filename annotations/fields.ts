// From the given options to the fields of a spec. Options that the manifest cannot have, or need not have because they
// do nothing, become remarks.
import { specProblems } from '../crds/spec-problems.ts';
import type { GivenOptions } from './given.ts';
import { Key } from './keys.ts';
import type { Remark } from './remarks.ts';

export type OptionName = Exclude<keyof typeof Key, 'HvSocketServicePrefix'>;
type Members = { [name: string]: unknown };

export class Fields {
  readonly given: GivenOptions;
  readonly #annotations: ReadonlyMap<string, string>;
  readonly #spec: Members = {};
  readonly #remarks: Remark[] = [];
  readonly #lists = new Map<string, readonly unknown[]>();

  constructor(given: GivenOptions, annotations: ReadonlyMap<string, string>) {
    this.given = given;
    this.#annotations = annotations;
  }

  get spec(): Readonly<Members> {
    return this.#spec;
  }

  get remarks(): readonly Remark[] {
    return this.#remarks;
  }

  /** Sets the field at `path`, such as `memory.sizeInMB`. False: the API server would refuse its value. */
  set(key: string, path: string, value: unknown): boolean {
    if (value === undefined) return false;
    const written = withNumbers(value);
    const [problem] = specProblems(nested(path, written));
    if (problem === undefined) assign(this.#spec, path, written);
    else {
      const reason = `spec.${path} cannot have this value (${problem})`;
      this.remark(key, reason, `choose another value for spec.${path}, or leave it out`);
    }
    return problem === undefined;
  }

  /** Adds an item to the list at `path`. */
  add(key: string, path: string, item: unknown): void {
    const list = [...(this.#lists.get(path) ?? []), item];
    if (this.set(key, path, list)) this.#lists.set(path, list);
  }

  /** The field has the value of the option. */
  copy(option: OptionName, path: string): void {
    this.set(this.keyOf(option), path, this.given[option]);
  }

  /** Like `copy`, for a text whose default is the empty text. */
  copyText(option: OptionName, path: string): void {
    if (this.given[option] !== '') this.copy(option, path);
  }

  /** Of the options that are given. */
  remarkOnOptions(options: readonly OptionName[], reason: string, advice = 'leave it out'): void {
    for (const option of options) {
      const value = this.given[option];
      const isEmpty = value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
      if (!isEmpty) this.remark(this.keyOf(option), reason, advice);
    }
  }

  remark(key: string, reason: string, advice: string): void {
    this.#remarks.push({ key, reason, advice });
  }

  /** Where the value of an option comes from. */
  keyOf(option: OptionName): string {
    const key = Key[option];
    return this.#annotations.has(key) ? key : (ociPlaces.get(option) ?? key);
  }
}

const ociPlaces: ReadonlyMap<string, string> = new Map([
  ['MemorySizeInMB', 'windows.resources.memory.limit'],
  ['ProcessorCount', 'windows.resources.cpu.count'],
  ['ProcessorLimit', 'windows.resources.cpu.maximum'],
  ['ProcessorWeight', 'windows.resources.cpu.shares'],
  ['StorageQoSIopsMaximum', 'windows.resources.storage.iops'],
  ['StorageQoSBandwidthMaximum', 'windows.resources.storage.bps'],
]);

/** A number that is not exact is beyond the bounds of every field. */
function withNumbers(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(withNumbers);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withNumbers(member)]));
}

function nested(path: string, value: unknown): Members {
  const spec: Members = {};
  assign(spec, path, value);
  return spec;
}

function assign(spec: Members, path: string, value: unknown): void {
  const names = path.split('.');
  const last = names.pop() ?? '';
  let section = spec;
  for (const name of names) {
    const found = section[name];
    const inner: Members = isMembers(found) ? found : {};
    section[name] = inner;
    section = inner;
  }
  section[last] = value;
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
