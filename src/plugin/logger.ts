/** Fields of a log line; the agent shows them as key=value. Never put secrets here. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** The levels of go-hclog that the agent understands. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** A logger whose lines have the name of the module that writes them. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger for a part of this module. */
  named(name: string): Logger;
}

/**
 * Formats a line as go-hclog's JSON: the agent prints a line raw if its timestamp does not have exactly six fraction digits.
 *
 * @param at milliseconds since the epoch; its fraction becomes microseconds
 */
export function formatLogLine(level: LogLevel, module: string, message: string, fields: LogFields, at: number): string {
  const whole = Math.floor(at);
  const micros = Math.floor((at - whole) * 1000);
  const timestamp = `${new Date(whole).toISOString().slice(0, -1)}${String(micros).padStart(3, "0")}Z`;
  return `${JSON.stringify({ "@level": level, "@message": message, "@module": module, "@timestamp": timestamp, ...fields })}\n`;
}

/** A logger that passes each formatted line to `write`. */
export function createLogger(module: string, write: (line: string) => void): Logger {
  const log = (level: LogLevel, message: string, fields: LogFields = {}) =>
    write(formatLogLine(level, module, message, fields, performance.timeOrigin + performance.now()));
  return {
    debug: (message, fields) => log("debug", message, fields),
    info: (message, fields) => log("info", message, fields),
    warn: (message, fields) => log("warn", message, fields),
    error: (message, fields) => log("error", message, fields),
    named: (name) => createLogger(`${module}.${name}`, write),
  };
}
