import { writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { registerBasePlugin } from "../driver/base-plugin";
import { registerDriver } from "../driver/driver-service";
import { errorText } from "../lib/errors";
import { HandshakeError } from "../plugin/handshake";
import { createLogger } from "../plugin/logger";
import { serve } from "../plugin/serve";
import { createRuntime } from "./runtime";

const STDOUT = 1;

/** True if a process with that PID exists. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it exists and belongs to another user.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** Runs as a Nomad plugin until the agent shuts it down; returns the process's exit code. */
export async function runPlugin(): Promise<number> {
  // After the agent was killed, no process reads stderr: writes fail, and must not end the plugin.
  process.stderr.on("error", () => {});
  process.stdout.on("error", () => {});
  // Ctrl-C in the agent's terminal reaches its whole process group; only the agent decides when the plugin exits.
  process.on("SIGINT", () => {});
  process.on("SIGPIPE", () => {});
  const ended = new AbortController();
  process.on("SIGTERM", () => ended.abort());

  const log = createLogger("nspawn", (line) => process.stderr.write(line));
  const runtime = createRuntime(log);
  process.on("unhandledRejection", (error) => runtime.log.error("unexpected error", { error: errorText(error) }));
  process.on("uncaughtException", (error) => runtime.log.error("unexpected error", { error: errorText(error) }));
  try {
    await serve({
      env: process.env,
      log,
      temporaryDirectory: tmpdir(),
      isAlive,
      print: (line) => void writeSync(STDOUT, line),
      register: (router) => {
        registerBasePlugin(router, runtime);
        registerDriver(router, runtime);
      },
      signal: ended.signal,
    });
    return 0;
  } catch (error) {
    if (error instanceof HandshakeError) log.error(error.message);
    else log.error("plugin failed", { error: errorText(error) });
    return 1;
  } finally {
    await runtime[Symbol.asyncDispose]();
  }
}
