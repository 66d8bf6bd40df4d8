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
