/** One process of a real Nomad agent. */

import { constants } from "node:os";
import { errorText } from "../../../src/lib/errors";
import { pour, type TextWatch, watchText } from "../../support/text-watch";

/** A running agent. */
export interface AgentProcess {
  readonly pid: number;
  /** Its log so far, and waiting for a line of it. */
  readonly log: Pick<TextWatch, "text" | "waitFor">;
  /** Resolves when it has exited, with the exit code or 128 + N. */
  readonly exited: Promise<number>;
  /** Ends it: SIGINT is a planned stop, SIGKILL a crash. Returns the exit code, or 128 + N. */
  stop(signal: "SIGINT" | "SIGKILL"): Promise<number>;
}

/** Starts an agent with a configuration file. */
export function startAgentProcess(binary: string, configFile: string): AgentProcess {
  const child = Bun.spawn([binary, "agent", "-config", configFile], {
    stdin: "ignore",
    stdout: "pipe",
    // The agent logs to stdout; stderr has only errors before that, or of a crash.
    stderr: "pipe",
    env: { PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root", LANG: "C.UTF-8" },
  });
  const log = watchText();
  const output = Promise.all([pour(child.stdout, log), pour(child.stderr, log)]);
  return {
    pid: child.pid,
    log,
    exited: child.exited,
    stop: async (signal) => {
      child.kill(constants.signals[signal]);
      const code = await child.exited;
      // A killed agent's plugins keep its pipes open: wait for the end of the log only if it comes.
      if (signal === "SIGINT") await output;
      return code;
    },
  };
}

/** Rejects, with the end of the agent's log, if `wanted` does not happen or the agent exits before. */
export async function orAgentLog<T>(agent: AgentProcess, wanted: Promise<T>): Promise<T> {
  const ended = agent.exited.then((code): never => {
    throw new Error(`The agent ended with exit code ${code}.`);
  });
  try {
    return await Promise.race([wanted, ended]);
  } catch (error) {
    const message = errorText(error);
    throw new Error(`${message}\nThe agent's log ends:\n${agent.log.text().slice(-6000)}`, { cause: error });
  }
}
