import { closeSync, constants, fchmodSync, fchownSync, openSync } from "node:fs";
import { type FdReader, type FdWriter, readFd, writeFd } from "../linux/fd-stream";
import { createPipe, duplicate, setTerminalSize, terminalOf } from "../linux/pipe";
import { hostId } from "../linux/proc";
import type { ContainerUser } from "../values/passwd";
import type { OpenContainer } from "./container";
import type { Found } from "./read-program";
import { EnterError } from "./session-plan";

/** A terminal of a container's own devpts, and its master. */
export interface Terminal {
  /** The terminal, for the command. */
  readonly terminal: number;
  /** Two descriptors of its master: the reader and the writer each need their own. */
  readonly reader: number;
  readonly writer: number;
}

/** The path of a container's device that creates new terminals. */
export const PTMX = "/dev/pts/ptmx";
/** The device number (the kernel's documentation, admin-guide/devices.txt), and the type of devpts (linux/magic.h). */
const PTMX_DEVICE = "5:2";
const DEVPTS = 0x1cd1;
/** The mode that login programs give a terminal: no other user may write to it. */
const TERMINAL_MODE = 0o600;

/**
 * Opens the master of a new terminal in a container.
 *
 * @param found what exists at {@link PTMX} in the container. Only a devpts is ever opened: it is the kernel's own, and never blocks
 * @param path by which it can be opened
 * @throws EnterError if the container has no devpts, or no terminals left
 */
export function openMaster(found: Found | undefined, path: string): number {
  const right = found?.kind === constants.S_IFCHR && found.device === PTMX_DEVICE && found.fileSystem === DEVPTS;
  if (!right) throw noTerminal();
  try {
    return openSync(path, constants.O_RDWR | constants.O_NOCTTY);
  } catch {
    throw noTerminal();
  }
}

/**
 * Gives a master's terminal to a user, in a container where `tty` and other programs that open it by name find it. Takes ownership of
 * the master.
 *
 * @param uid of the user, and `gid` of its group, on the host
 * @throws EnterError if no descriptors are left
 */
function openTerminal(master: number, uid: number, gid: number): Terminal {
  using held = new DisposableStack();
  const keep = (fd: number | undefined): number => {
    if (fd === undefined) throw noTerminal();
    return held.adopt(fd, closeSync);
  };
  const reader = keep(master);
  const writer = keep(duplicate(reader));
  const terminal = keep(terminalOf(reader));
  fchownSync(terminal, uid, gid);
  fchmodSync(terminal, TERMINAL_MODE);
  // The traditional default size, until the client's window size is known.
  setTerminalSize(reader, 24, 80);
  held.move();
  return { terminal, reader, writer };
}

function noTerminal(): EnterError {
  return new EnterError(`Cannot open a terminal in the task's container (${PTMX}): try without one (-t=false).`);
}

/** The driver's ends of a command's streams, and the command's ends, which the driver closes after passing them on. */
export interface SessionStreams {
  readonly stdin: FdWriter;
  readonly stdout: FdReader;
  readonly stderr?: FdReader;
  readonly theirs: readonly [number, number, number];
  resize(rows: number, columns: number): void;
  close(): Promise<void>;
}

/**
 * Creates three pipes, or the streams of a new terminal from its master.
 *
 * @param master owned by the streams from now on; undefined for pipes
 * @throws EnterError if no terminal can be opened in the container
 */
export function openStreams(container: OpenContainer, user: ContainerUser, master: number | undefined): SessionStreams {
  return master === undefined ? pipeStreams() : terminalStreams(container, user, master);
}

function terminalStreams(container: OpenContainer, user: ContainerUser, master: number): SessionStreams {
  const owner = hostId(container.uidMap, user.uid);
  const group = hostId(container.gidMap, user.gid);
  if (owner === undefined || group === undefined) {
    closeSync(master);
    throw new EnterError(
      `The user ${user.name} (${user.uid}:${user.gid}) is not mapped in the container's user namespace.`,
    );
  }
  const { terminal, reader, writer } = openTerminal(master, owner, group);
  const [stdin, stdout] = [writeFd(writer), readFd(reader)];
  return {
    stdin,
    stdout,
    theirs: [terminal, terminal, terminal],
    resize: (rows, columns) => setTerminalSize(writer, rows, columns),
    close: async () => {
      stdin.close();
      await stdout.close();
    },
  };
}

function pipeStreams(): SessionStreams {
  using made = new DisposableStack();
  const make = () => {
    const pipe = createPipe();
    for (const fd of Object.values(pipe)) made.adopt(fd, closeSync);
    return pipe;
  };
  const [input, output, errors] = [make(), make(), make()];
  const [stdin, stdout, stderr] = [writeFd(input.writeEnd), readFd(output.readEnd), readFd(errors.readEnd)];
  made.move();
  return {
    stdin,
    stdout,
    stderr,
    theirs: [input.readEnd, output.writeEnd, errors.writeEnd],
    resize: () => {},
    close: async () => {
      stdin.close();
      await stdout.close();
      await stderr.close();
    },
  };
}
