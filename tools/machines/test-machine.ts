/** A machine that tests boot: a container or a virtual machine. */

import type { CommandOptions, Finished } from "../command";

/** How to run a command inside. */
export interface InsideOptions {
  readonly cwd?: string;
  /** Added to a short standard environment (PATH, HOME, LANG). */
  readonly env?: Readonly<Record<string, string>>;
  readonly output?: CommandOptions["output"];
  readonly stdin?: string;
}

/** A booted machine. It contains the repository at the same path, read-only, and `bun` is on the PATH. */
export interface TestMachine {
  /** A directory that commands inside may write to; removed with the machine. */
  readonly share: { readonly inside: string };
  /** What `systemctl is-system-running` said at the end of the boot: "running", or "degraded". */
  readonly state: string;
  /** Runs a command in a scope of the machine's own systemd. */
  exec(argv: readonly string[], options?: InsideOptions): Promise<Finished>;
  /** The text of a file inside, undefined if it does not exist. */
  read(path: string): Promise<string | undefined>;
  /** Stops the machine and removes all its files; may be called again. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
