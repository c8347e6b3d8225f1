/** Adam, with the defaults of its paper. Kingma, Ba, 'Adam: A Method for Stochastic Optimization', ICLR 2015, algorithm 1. */
export class Adam {
  readonly #rate: number;
  readonly #first: Float32Array;
  readonly #second: Float32Array;
  #steps = 0;

  constructor(length: number, rate: number) {
    this.#rate = rate;
    this.#first = new Float32Array(length);
    this.#second = new Float32Array(length);
  }

  /** Moves `x` against the slope of each component. */
  step(x: Float32Array, slope: (index: number) => number): void {
    this.#steps++;
    const [first, second] = [this.#first, this.#second];
    const firstScale = 1 / (1 - 0.9 ** this.#steps);
    const secondScale = 1 / (1 - 0.999 ** this.#steps);
    for (let i = 0; i < x.length; i++) {
      const g = slope(i);
      const m = 0.9 * first[i]! + 0.1 * g;
      const v = 0.999 * second[i]! + 0.001 * g * g;
      first[i] = m;
      second[i] = v;
      x[i]! -= (this.#rate * m * firstScale) / (Math.sqrt(v * secondScale) + 1e-8);
    }
  }
}
