// Versions of objects that writes returned and the watch has not reported yet. They need not be parsed a second time.
import { objectKey, type Stored } from './objects.ts';
import type { Version } from './watch.ts';

/** More than the number of simultaneous writes. */
const maximum = 1_000;

export class ExpectedVersions<T extends Stored> {
  readonly #byKey = new Map<string, T>();

  add(object: T): void {
    const key = objectKey(object.metadata);
    this.#byKey.delete(key);
    this.#byKey.set(key, object);
    for (const oldest of this.#byKey.keys()) {
      if (this.#byKey.size <= maximum) return;
      this.#byKey.delete(oldest);
    }
  }

  /** The object in exactly this version, if a write returned it. */
  take({ name, namespace, uid, resourceVersion }: Version): T | undefined {
    const key = objectKey({ name, namespace });
    const expected = this.#byKey.get(key);
    if (expected?.metadata.resourceVersion !== resourceVersion || expected.metadata.uid !== uid) return undefined;
    this.#byKey.delete(key);
    return expected;
  }

  clear(): void {
    this.#byKey.clear();
  }
}
