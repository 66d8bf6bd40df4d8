import type { LogFields, Logger, LogLevel } from "../lib/logger";

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
    trace: (message, fields) => log("trace", message, fields),
    debug: (message, fields) => log("debug", message, fields),
    info: (message, fields) => log("info", message, fields),
    warn: (message, fields) => log("warn", message, fields),
    error: (message, fields) => log("error", message, fields),
    named: (name) => createLogger(`${module}.${name}`, write),
  };
}
