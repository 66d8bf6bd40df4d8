import { closeSync } from "node:fs";
import { createPipe, setTerminalSize } from "../host/libc";
import type { Container } from "./container";
import { type FdReader, type FdWriter, readFd, writeFd } from "./fd-streams";
import { hostId } from "./process-status";
import { EnterError } from "./session-plan";
import { openTerminal } from "./terminal";
import type { ContainerUser } from "./users";

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
export function openStreams(container: Container, user: ContainerUser, master: number | undefined): SessionStreams {
  return master === undefined ? pipeStreams() : terminalStreams(container, user, master);
}

function terminalStreams(container: Container, user: ContainerUser, master: number): SessionStreams {
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
  const made: number[] = [];
  const make = () => {
    const { readEnd, writeEnd } = createPipe();
    made.push(readEnd, writeEnd);
    return { readEnd, writeEnd };
  };
  try {
    const [input, output, errors] = [make(), make(), make()];
    const [stdin, stdout, stderr] = [writeFd(input.writeEnd), readFd(output.readEnd), readFd(errors.readEnd)];
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
  } catch (error) {
    for (const fd of made) closeSync(fd);
    throw error;
  }
}
