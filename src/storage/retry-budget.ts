/**
 * A budget for trying again: each retry takes from it and each success gives back a little, so that a server that
 * fails now and then is asked again and one that is down is not asked many times over. (The token bucket of the AWS
 * clients' standard retry mode, https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html.)
 */
export class RetryBudget {
  readonly #capacity: number;
  #tokens: number;

  /** @param retries retries in a row, at least 1 */
  constructor(retries: number) {
    this.#capacity = retries;
    this.#tokens = retries;
  }

  /** @returns whether one more retry is affordable; it is then paid for */
  take(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** To be called when a request succeeded at its first try. */
  refund(): void {
    this.#tokens = Math.min(this.#capacity, this.#tokens + 0.1);
  }
}
