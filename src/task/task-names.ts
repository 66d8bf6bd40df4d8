import type { LogFields, Logger } from "../lib/logger";

/** Nomad's names of a task, as fields of a log line. */
export interface TaskNames {
  readonly task: string;
  readonly alloc: string;
  readonly job: string;
  readonly namespace: string;
}

/** Machines whose task has ended, of which lines may still follow. */
const MOST_ENDED = 200;

/** The names of the tasks of this plugin process, by machine. */
export class NamesByMachine {
  readonly #running = new Map<string, TaskNames>();
  readonly #ended = new Map<string, TaskNames>();

  /** A machine has a task from now on. */
  learn(machine: string, names: TaskNames): void {
    this.#ended.delete(machine);
    this.#running.set(machine, names);
  }

  /** The task of a machine has ended; its names are kept for a while. */
  end(machine: string): void {
    const names = this.#running.get(machine);
    if (names === undefined) return;
    this.#running.delete(machine);
    this.#ended.set(machine, names);
    const [oldest] = this.#ended.keys();
    if (this.#ended.size > MOST_ENDED && oldest !== undefined) this.#ended.delete(oldest);
  }

  /** Undefined for a machine without a known task. */
  of(machine: string): TaskNames | undefined {
    return this.#running.get(machine) ?? this.#ended.get(machine);
  }
}

/** A logger that adds Nomad's names to each line about a machine whose task is known: task, alloc, job and namespace. */
export function namingLogger(log: Logger, names: Pick<NamesByMachine, "of">): Logger {
  const named = (fields: LogFields | undefined): LogFields | undefined => {
    const machine = fields?.["machine"];
    const known = typeof machine === "string" ? names.of(machine) : undefined;
    return known === undefined ? fields : { ...known, ...fields };
  };
  return {
    trace: (message, fields) => log.trace(message, named(fields)),
    debug: (message, fields) => log.debug(message, named(fields)),
    info: (message, fields) => log.info(message, named(fields)),
    warn: (message, fields) => log.warn(message, named(fields)),
    error: (message, fields) => log.error(message, named(fields)),
    named: (name) => namingLogger(log.named(name), names),
  };
}
