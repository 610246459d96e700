// The buddy allocator of one packed vPMem device (hcs-documents §6.13, hcs-runtime B.6): 4 GiB in blocks of seven
// sizes, each four times the previous one.

const smallestBytes = 2 ** 20;
const classCount = 7;

export interface Region {
  /** Offset in bytes from the start of the device. */
  readonly offset: number;
  /** Index of the size: 0 is 1 MiB, 6 is the whole pool. */
  readonly sizeClass: number;
}

/** The smallest size that holds the bytes. Undefined for 0 bytes and for more than the pool. */
function classOf(bytes: number): number | undefined {
  for (let sizeClass = 0; bytes > 0 && sizeClass < classCount; sizeClass += 1) {
    if (bytes <= bytesOf(sizeClass)) return sizeClass;
  }
  return undefined;
}

function bytesOf(sizeClass: number): number {
  return smallestBytes * 4 ** sizeClass;
}

export class RegionPool {
  /** Offsets of free blocks, by size. */
  readonly #free: readonly Set<number>[] = Array.from({ length: classCount }, () => new Set<number>());

  constructor() {
    this.#freeOf(classCount - 1).add(0);
  }

  /** Undefined when no free block is large enough. */
  allocate(bytes: number): Region | undefined {
    const wanted = classOf(bytes);
    if (wanted === undefined) return undefined;
    let offset = this.#take(wanted);
    if (offset === undefined) {
      this.#mergeAll();
      offset = this.#take(wanted);
    }
    return offset === undefined ? undefined : { offset, sizeClass: wanted };
  }

  release({ offset, sizeClass }: Region): void {
    this.#freeOf(sizeClass).add(offset);
  }

  /** The lowest free block of this size, else the first quarter of the lowest block of the next larger size. */
  #take(sizeClass: number): number | undefined {
    if (sizeClass >= classCount) return undefined;
    const free = this.#freeOf(sizeClass);
    if (free.size === 0) {
      const whole = this.#take(sizeClass + 1);
      if (whole === undefined) return undefined;
      for (let quarter = 0; quarter < 4; quarter += 1) free.add(whole + quarter * bytesOf(sizeClass));
    }
    const lowest = Math.min(...free);
    free.delete(lowest);
    return lowest;
  }

  /**
   * Merges every four free quarters into a block. Done only when nothing fits, because a merged block is likely split
   * again.
   */
  #mergeAll(): void {
    for (let sizeClass = 0; sizeClass < classCount - 1; sizeClass += 1) {
      const free = this.#freeOf(sizeClass);
      const whole = bytesOf(sizeClass + 1);
      for (const offset of [...free].filter((each) => each % whole === 0)) {
        const quarters = [0, 1, 2, 3].map((quarter) => offset + quarter * bytesOf(sizeClass));
        if (!quarters.every((each) => free.has(each))) continue;
        for (const each of quarters) free.delete(each);
        this.#freeOf(sizeClass + 1).add(offset);
      }
    }
  }

  #freeOf(sizeClass: number): Set<number> {
    const free = this.#free[sizeClass];
    if (free === undefined) throw new RangeError(`there is no block size ${sizeClass}`);
    return free;
  }
}
