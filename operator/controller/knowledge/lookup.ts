/** A cache of objects by name. */
export interface Lookup<T> {
  get(key: string): T | undefined;
  values(): Iterable<T>;
}
