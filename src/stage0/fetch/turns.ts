/** Layers of one image take turns, and share a barrier: a file system flushed once costs about what flushing it for each layer does. */
import { flushTree } from '../../state/images/staging.ts';

/** How long a layer that is unpacked waits for the others: so much of a long download is lost when the process is killed. */
const maxFlushWaitMs = 500;

interface Waiting {
  resolve(): void;
  reject(error: unknown): void;
}

export class Turns {
  #free: number;
  readonly #queue: (() => void)[] = [];
  /** that will want the barrier, as far as is known */
  #working = 0;
  #flushing: Waiting[] = [];
  #root = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /** Does `unpack` when it is its turn. Who succeeds calls {@link flush} next. */
  async take<T>(unpack: () => Promise<T>): Promise<T> {
    this.#working++;
    if (this.#free === 0) await new Promise<void>((resolve) => this.#queue.push(resolve));
    else this.#free--;
    try {
      return await unpack();
    } catch (error) {
      this.#working--;
      this.#flushIfAll();
      throw error;
    } finally {
      const next = this.#queue.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }

  /** What was taken is on the platter when this resolves, together with what others took. @throws ERR_STORE_IO */
  flush = (root: string): Promise<void> => {
    this.#root = root;
    this.#timer ??= setTimeout(this.#flushNow, maxFlushWaitMs);
    return new Promise((resolve, reject) => {
      this.#flushing.push({ resolve, reject });
      this.#flushIfAll();
    });
  };

  #flushIfAll(): void {
    if (this.#flushing.length > 0 && this.#flushing.length === this.#working) this.#flushNow();
  }

  #flushNow = (): void => {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiting = this.#flushing;
    this.#flushing = [];
    this.#working -= waiting.length;
    try {
      flushTree(this.#root);
      for (const one of waiting) one.resolve();
    } catch (error) {
      for (const one of waiting) one.reject(error);
    }
  };
}
