/** The deflections of many runs as one list of writes, for machines that write all places at once in no order. */
import type { DeflectionList } from './deflection.js';

const CHANNELS = 3;

/**
 * Writes to the planes of some runs, float [runs, 3, pixels]: no place is written twice, and every value comes from the
 * planes as they were before the first write. Reusable.
 */
export class DeflectionWrites {
  readonly #pixels: number;
  /** For each place of the planes of one run, 1 + its position among the writes of that run; 0 where there is none. */
  readonly #written: Int32Array;
  #targets = new Int32Array(1024);
  #sources = new Int32Array(1024);
  #count = 0;

  /** @param pixels of one plane */
  constructor(pixels: number) {
    this.#pixels = pixels;
    this.#written = new Int32Array(CHANNELS * pixels);
  }

  clear(): void {
    this.#count = 0;
  }

  /**
   * Appends the deflections of a run, as `applyDeflections` carries them out one after another.
   *
   * @param list with `replace` random: each entry copies a pixel, or one channel of it
   * @param run which of the runs' planes are written
   */
  add(list: DeflectionList, run: number): void {
    const first = this.#count;
    const base = run * CHANNELS * this.#pixels;
    for (let i = 0; i < list.count; i++) {
      const channel = list.perChannel ? list.channels[i]! : 0;
      const channels = list.perChannel ? channel + 1 : CHANNELS;
      for (let c = channel; c < channels; c++) {
        const target = c * this.#pixels + list.targets[i]!;
        const source = c * this.#pixels + list.sources[i]!;
        // Rule `official` reads what it has written; the origin of that value is what is read here.
        const earlier = list.perChannel ? this.#written[source]! : 0;
        const origin = earlier === 0 ? base + source : this.#sources[earlier - 1]!;
        let at = this.#written[target]! - 1;
        if (at < 0) {
          at = this.#append();
          this.#targets[at] = base + target;
          this.#written[target] = at + 1;
        }
        this.#sources[at] = origin;
      }
    }
    for (let at = first; at < this.#count; at++) this.#written[this.#targets[at]! - base] = 0;
  }

  /** @returns views that are good until the next call; at least one write, if only of a place to itself */
  list(): { readonly targets: Int32Array; readonly sources: Int32Array } {
    if (this.#count === 0) {
      const at = this.#append();
      this.#targets[at] = 0;
      this.#sources[at] = 0;
    }
    return { targets: this.#targets.subarray(0, this.#count), sources: this.#sources.subarray(0, this.#count) };
  }

  #append(): number {
    if (this.#count === this.#targets.length) {
      this.#targets = grown(this.#targets);
      this.#sources = grown(this.#sources);
    }
    return this.#count++;
  }
}

function grown(values: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const longer = new Int32Array(2 * values.length);
  longer.set(values);
  return longer;
}
