// The order of map keys in the text: that of their UTF-8 bytes (docs/reference/hcs-documents.md §0.3).

/** Equals the order of UTF-16 code units, except for surrogates, which encode the highest code points. */
export function compareBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const difference = byteRank(a.charCodeAt(index)) - byteRank(b.charCodeAt(index));
    if (difference !== 0) {
      return difference;
    }
  }
  return a.length - b.length;
}

function byteRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x1_0000 : unit;
}

/** An object with its members in byte order, as far as objects allow it: keys such as "7" still come first. */
export function sortedRecord<T>(entries: Iterable<readonly [string, T]>): Record<string, T> {
  return Object.fromEntries([...entries].sort(([a], [b]) => compareBytes(a, b)));
}
