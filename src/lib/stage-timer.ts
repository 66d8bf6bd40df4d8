import type { Logger } from "./logger";

/** Measures stages that follow each other, and logs one line for each at level "trace": where the time of a task's start goes. */
export class StageTimer {
  readonly #log: Pick<Logger, "trace">;
  readonly #machine: string;
  readonly #now: () => number;
  #last: number;

  /** @param now milliseconds of any clock */
  constructor(log: Pick<Logger, "trace">, machine: string, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#machine = machine;
    this.#now = now;
    this.#last = now();
  }

  /** Logs how long the stage took that ends now; the next one begins. */
  readonly done = (stage: string): void => {
    const now = this.#now();
    this.#log.trace("start stage", { machine: this.#machine, stage, ms: Math.round((now - this.#last) * 10) / 10 });
    this.#last = now;
  };
}
