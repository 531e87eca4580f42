/** Choices from a seed: the same seed, the same choices, on every machine. Pure. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 ≤ x < 1 (mulberry32) */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
  /** first ≤ x ≤ last */
  integer(first: number, last: number): number {
    return first + Math.floor(this.next() * (last - first + 1));
  }
  chance(probability: number): boolean {
    return this.next() < probability;
  }
  one<T>(items: readonly T[]): T {
    const item = items[this.integer(0, items.length - 1)];
    if (item === undefined) throw new Error('nothing to choose from');
    return item;
  }
  /** `least` to `most` of them, each once, in order */
  some<T>(items: readonly T[], least: number, most: number): T[] {
    const count = Math.min(items.length, this.integer(least, most));
    const left = items.map((_, index) => index);
    const chosen = Array.from({ length: count }, () => left.splice(this.integer(0, left.length - 1), 1)[0] ?? 0);
    return chosen.sort((a, b) => a - b).flatMap((index) => items[index] ?? []);
  }
  /** `least` to `most` made ones */
  list<T>(least: number, most: number, make: () => T): T[] {
    return Array.from({ length: this.integer(least, most) }, make);
  }
}
