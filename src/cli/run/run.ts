/**
 * `run`: a container without Nomad. The command is a small client of Nomad's plugin protocol: it starts this executable as a plugin
 * (plugin-process.ts), makes the directories and log FIFOs that an agent would make for an allocation (allocation.ts), and calls
 * StartTask, WaitTask, StopTask and DestroyTask (run-task.ts). So what runs here runs the same way under an agent.
 */

import { selfCommand } from "../../lib/executable";
import { signalName, signalNumber } from "../../values/signals";
import type { Command } from "../command";
import { runHelp, runOptions } from "./options";
import { runTask } from "./run-task";

const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** As in shells: 128 + the signal's number. */
const SIGNAL_BASE = 128;

/** `run`: runs a container through the real plugin protocol, without Nomad. */
export const runCommand: Command = {
  name: "run",
  summary: "run a container through the plugin protocol, without Nomad",
  usage: "IMAGE [OPTIONS] [-- COMMAND…]",
  completes: "files",
  help: runHelp,
  async run(args, terminal) {
    const options = runOptions(args);
    const say = (sentence: string) => terminal.err(`${sentence}\n`);
    const stop = new AbortController();
    const kill = new AbortController();
    let interrupted = "";
    const onSignal = (signal: NodeJS.Signals): void => {
      if (interrupted !== "") {
        kill.abort();
        return;
      }
      interrupted = signal;
      // No signal is named: the driver chooses the one that shuts a booted container down.
      stop.abort(String(options.config["boot"]) === "true" ? "" : signal);
    };
    for (const signal of STOP_SIGNALS) process.on(signal, onSignal);
    try {
      const exit = await runTask(options, {
        self: selfCommand(),
        stdout: process.stdout,
        stderr: process.stderr,
        say,
        stop: stop.signal,
        kill: kill.signal,
      });
      if (exit === undefined) return SIGNAL_BASE + (signalNumber(interrupted) ?? 0);
      if (exit.oomKilled) say(`The kernel killed the task: it exceeded its memory limit of ${options.memory} MiB.`);
      if (exit.signal === 0) return exit.exitCode;
      if (interrupted === "") say(`The task was killed by ${signalName(exit.signal)}.`);
      return SIGNAL_BASE + exit.signal;
    } finally {
      for (const signal of STOP_SIGNALS) process.off(signal, onSignal);
    }
  },
};
