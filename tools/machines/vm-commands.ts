/** The commands that run in a virtual machine, and their results. */

import type { Finished, TakeOutput } from "../command";
import type { InsideOptions } from "./test-machine";
import type { VmReply, VmRequest } from "./vm-channel";

/** All commands of one machine. */
export interface Commands {
  /** Runs a command until it exits. Rejects if it cannot be started or the machine is gone. */
  run(argv: readonly string[], options?: Omit<InsideOptions, "env">): Promise<Finished>;
  /** Handles a message of the machine's agent about a command. */
  take(reply: Exclude<VmReply, { kind: "ready" }>): void;
  /** Makes all running and later commands fail. */
  abandon(error: Error): void;
}

interface Running {
  /** Receives the output; without it, it is collected. */
  readonly use: TakeOutput | undefined;
  readonly stdout: Buffer[];
  readonly stderr: Buffer[];
  readonly settle: PromiseWithResolvers<Finished>;
}

/** @param send sends a request to the machine */
export function openCommands(send: (request: VmRequest) => void): Commands {
  const running = new Map<number, Running>();
  let last = 0;
  let gone: Error | undefined;
  return {
    run: (argv, { cwd = "/", output = "collect", stdin = "" } = {}) => {
      if (gone !== undefined) return Promise.reject(gone);
      last += 1;
      const settle = Promise.withResolvers<Finished>();
      running.set(last, { use: receiver(output), stdout: [], stderr: [], settle });
      send({ id: last, argv: [...argv], cwd, stdin });
      return settle.promise;
    },
    take: (reply) => {
      const command = running.get(reply.id);
      if (command === undefined) return;
      if (reply.kind === "stdout" || reply.kind === "stderr") {
        const bytes = Buffer.from(reply.bytes, "base64");
        if (command.use !== undefined) command.use(bytes, reply.kind);
        else command[reply.kind].push(bytes);
        return;
      }
      running.delete(reply.id);
      if (reply.kind === "failed") return command.settle.reject(new Error(reply.reason));
      const [stdout, stderr] = [command.stdout, command.stderr].map((parts) => Buffer.concat(parts).toString());
      command.settle.resolve({ code: reply.code, stdout: stdout ?? "", stderr: stderr ?? "" });
    },
    abandon: (error) => {
      gone = error;
      for (const { settle } of running.values()) settle.reject(error);
      running.clear();
    },
  };
}

function receiver(output: InsideOptions["output"]): TakeOutput | undefined {
  if (typeof output === "function") return output;
  return output === "show" ? (bytes, from) => process[from].write(bytes) : undefined;
}
