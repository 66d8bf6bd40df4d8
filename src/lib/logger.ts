/** Fields of a log line; the agent shows them as key=value. Never put secrets here. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** The levels of go-hclog that the agent understands. */
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error";

/** A logger whose lines have the name of the module that writes them. */
export interface Logger {
  trace(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger for a part of this module. */
  named(name: string): Logger;
}

/** Measures stages that follow each other, and logs one line for each at level "trace": where the time of a task's start goes. */
export class StageTimer {
  #last: number;

  /** @param now milliseconds of any clock */
  constructor(
    private readonly log: Pick<Logger, "trace">,
    private readonly machine: string,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#last = now();
  }

  /** Logs how long the stage took that ends now; the next one begins. */
  readonly done = (stage: string): void => {
    const now = this.now();
    this.log.trace("start stage", { machine: this.machine, stage, ms: Math.round((now - this.#last) * 10) / 10 });
    this.#last = now;
  };
}
