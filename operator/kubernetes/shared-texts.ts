// Thousands of objects say the same: reasons, messages, paths. JSON.parse makes each of these texts anew. Kept once, they
// leave a fleet of 20,000 VMs about a sixth of its memory.

/** Longer texts are rarely equal, and hashing them takes longer. */
const longest = 128;

export class SharedTexts {
  readonly #maximum: number;
  readonly #texts = new Map<string, string>();

  /** When `maximum` texts are kept, all are forgotten, and those that matter return at once. */
  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  get size(): number {
    return this.#texts.size;
  }

  /** Replaces each text in a value made from JSON by an equal one that earlier values have. */
  shareIn(value: unknown): void {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, each] of Object.entries(value)) {
      if (typeof each === 'string') Reflect.set(value, key, this.#share(each));
      else this.shareIn(each);
    }
  }

  #share(text: string): string {
    if (text.length > longest) return text;
    const shared = this.#texts.get(text);
    if (shared !== undefined) return shared;
    if (this.#texts.size >= this.#maximum) this.#texts.clear();
    this.#texts.set(text, text);
    return text;
  }
}
