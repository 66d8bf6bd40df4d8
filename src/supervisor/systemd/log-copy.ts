/**
 * Output that goes to Nomad's log and to the client's journal. An output has one place, so a *copy* stands between: for each of stdout and
 * stderr a unit beside the container's, in which coreutils' tee reads the pipe that the container writes to. It is a unit of PID 1 because
 * it has to go on while no plugin runs, and a process of one megabyte because a client has hundreds of them. Like the container's unit it
 * has a drop-in, from before it exists until after it is gone.
 */

import { closeSync, constants, fchownSync, openSync } from "node:fs";
import { readIfThere } from "../../lib/files";
import { SYS } from "../../linux/constants";
import { createPipe, unreadBytes } from "../../linux/pipe";
import { findProgram } from "../../linux/programs";
import type { SystemdManager, UnitProperty } from "../../systemd/manager";
import { openLog } from "../log-file";
import { LaunchError, type LaunchSpec } from "../supervisor";
import { readUnit } from "./read-unit";
import { hasDropIn, removeDropIn, unitName, writeDropIn } from "./unit-properties";
import { unlessGone } from "./unless-gone";

const STREAMS = ["stdout", "stderr"] as const;
type Stream = (typeof STREAMS)[number];

/** What copies need of PID 1. */
type CopyManager = Pick<SystemdManager, "watch" | "refresh" | "stopUnit">;

/** How long the last output of a container that has ended may take to arrive in Nomad's log, and pauses between two looks; milliseconds. */
const DRAIN_MS = 1000;
const LOOK_MS = 5;
/** How long PID 1 may take to remove a copy; milliseconds. */
const REMOVAL_MS = 5000;
/** The kernel's OOM killer takes a copy last: without it the container's programs wait for ever at their next line. */
const OOM_SCORE = -900;

/** The name of the unit that copies an output of a machine. */
export function copyUnit(machine: string, stream: Stream): string {
  return `nomad-log-${machine}-${stream}.service`;
}

const copiesOf = (machine: string): string[] =>
  STREAMS.map((stream) => copyUnit(machine, stream)).filter((unit) => hasDropIn(unit));

/** Whether a machine has copies, or what an interrupted start left of them. */
export function hasCopies(machine: string): boolean {
  return copiesOf(machine).length > 0;
}

/**
 * Starts the copies of a container's output.
 *
 * @returns descriptors for its stdout and stderr, which the caller closes; what was started is removed by removeCopies()
 * @throws LaunchError, and DbusError
 */
export async function startCopies(manager: SystemdManager, spec: LaunchSpec): Promise<number[]> {
  const tee = findProgram("tee");
  if (tee === undefined) {
    throw new LaunchError(
      'Option log_driver = "both" needs the program tee, which is not installed: install the package coreutils.',
      { recoverable: false },
    );
  }
  const outputs: number[] = [];
  try {
    for (const stream of STREAMS) outputs.push(await startCopy(manager, spec, { stream, tee }));
    return outputs;
  } catch (error) {
    for (const fd of outputs) closeSync(fd);
    throw error;
  }
}

async function startCopy(
  manager: SystemdManager,
  spec: LaunchSpec,
  { stream, tee }: { readonly stream: Stream; readonly tee: string },
): Promise<number> {
  const { machine, identity, logOwner } = spec;
  const unit = copyUnit(machine, stream);
  // The file is the descriptor of Nomad's FIFO: its name may lead to something else by now. tee's own errors go there too.
  writeDropIn(unit, {
    command: [tee, "--append", "/proc/self/fd/2"],
    properties: {},
    identity: identity && { ...identity, fields: { ...identity.fields, NOMAD_LOG_STREAM: stream } },
  });
  using open = new DisposableStack();
  const log = open.adopt(openLog(stream === "stdout" ? spec.stdoutPath : spec.stderrPath, logOwner), closeSync);
  const { readEnd, writeEnd } = createPipe();
  open.adopt(readEnd, closeSync);
  open.adopt(writeEnd, closeSync);
  // Programs in images often open /dev/stdout again, which needs permission on the pipe itself.
  if (logOwner !== undefined) fchownSync(writeEnd, logOwner, 0);
  const result = await manager.startTransientUnit(unit, copyProperties(machine), [readEnd, log]);
  if (result !== "done" && result !== "lost") {
    throw new LaunchError(`systemd failed to start ${unit} (${result}): see "journalctl -u ${unit}".`, {
      recoverable: true,
    });
  }
  // Open for reading too, as Nomad's FIFO would be: no write raises SIGPIPE.
  return openSync(`/proc/self/fd/${writeEnd}`, constants.O_RDWR | constants.O_APPEND);
}

/** Descriptor 0 of the message is the pipe, descriptor 1 Nomad's FIFO (systemd.exec(5)). */
function copyProperties(machine: string): UnitProperty[] {
  return [
    ["Description", ["s", `Log of Nomad task ${machine}`]],
    ["Type", ["s", "exec"]],
    ["StandardInputFileDescriptor", ["h", 0]],
    ["StandardOutput", ["s", "journal"]],
    ["StandardErrorFileDescriptor", ["h", 1]],
    ["OOMScoreAdjust", ["i", OOM_SCORE]],
    // Nothing remains of one that has ended.
    ["CollectMode", ["s", "inactive-or-failed"]],
    // Units stop in the reverse order: the last lines of a container at the host's shutdown are copied.
    ["Before", ["as", [unitName(machine)]]],
  ];
}

/** Resolves when the log has everything that a container wrote, which has ended; or after a second. */
export async function drainCopies(manager: CopyManager, machine: string): Promise<void> {
  const end = performance.now() + DRAIN_MS;
  for (const unit of copiesOf(machine)) {
    const { mainPid: pid } = await readUnit(manager, unit);
    while (pid !== 0 && !isIdle(pid) && performance.now() < end) await Bun.sleep(LOOK_MS);
  }
}

/** Removes the copies of a machine that has ended. */
export async function removeCopies(manager: CopyManager, machine: string): Promise<void> {
  for (const unit of copiesOf(machine)) {
    await unlessGone(manager.stopUnit(unit));
    // A unit of that name may be made at once.
    const end = performance.now() + REMOVAL_MS;
    while ((await readUnit(manager, unit)).loadState === "loaded" && performance.now() < end) await Bun.sleep(LOOK_MS);
    await removeDropIn(unit);
  }
}

/** Whether a copy waits for input and its pipe has none: everything before is written. True also for one that is gone. */
function isIdle(pid: number): boolean {
  let pipe: number;
  try {
    pipe = openSync(`/proc/${pid}/fd/0`, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return true;
  }
  try {
    return unreadBytes(pipe) === 0 && waitsForInput(readIfThere(`/proc/${pid}/syscall`));
  } finally {
    closeSync(pipe);
  }
}

/**
 * Whether a process is in read(2) of its standard input.
 *
 * @param call content of /proc/PID/syscall (proc_pid_syscall(5)): the number of the call and its arguments, or "running"; undefined if the
 *   kernel does not have it, and then the answer is true
 */
export function waitsForInput(call: string | undefined): boolean {
  return call === undefined || call.startsWith(`${SYS.read} 0x0 `);
}
