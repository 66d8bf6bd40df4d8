import { findProgram } from "../../linux/programs";
import type { ListedTask } from "./read-tasks";

/** What to print of a task's output in the host's journal. */
interface JournalOptions {
  readonly follow: boolean;
  readonly json: boolean;
  readonly tail: number | undefined;
}

/** Prints the output of a task that logs to the host's journal. @returns journalctl's exit code */
export async function printJournal({ machine, record }: ListedTask, options: JournalOptions): Promise<number> {
  const argv = journalArguments(`nomad-nspawn-${machine}.service`, record?.allocation ?? "", options);
  const journalctl = findProgram("journalctl");
  if (journalctl === undefined)
    throw new Error("The task logs to the journal of this host, and journalctl is not installed.");
  const child = Bun.spawn([journalctl, ...argv], {
    env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" },
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
  });
  return await child.exited;
}

/** journalctl's arguments: the messages of a unit that are its output, and not systemd's or systemd-nspawn's about it. */
export function journalArguments(unit: string, allocation: string, { follow, json, tail }: JournalOptions): string[] {
  return [
    "--no-pager",
    `--output=${json ? "json" : "cat"}`,
    ...(follow ? ["--follow"] : []),
    `--lines=${tail ?? "all"}`,
    ...["_TRANSPORT=stdout", `_SYSTEMD_UNIT=${unit}`],
    ...(allocation === "" ? [] : [`NOMAD_ALLOC_ID=${allocation}`]),
  ];
}
