/**
 * Commands in a running container, for `nomad alloc exec`, script checks and `exec` of the command line. A *session* is one such command.
 * It gets the container's namespaces, cgroup, user IDs, capabilities, seccomp filters and AppArmor profile, all read from the *leader*, the container's PID
 * 1, because the container may have restricted itself since its start.
 *
 * The command is started by a small executable (enter-program.ts) that enters the container and executes the command; its *report*, on a
 * separate pipe, says which step failed, or how the command ended. Files of the container, such as its passwd(5), are read by a separate
 * process with a deadline (read-inside.ts): a file system of the container can block every process that opens a file on it.
 * session-plan.ts decides environment, paths and exit code; session-io.ts makes pipes or a terminal.
 */

import { closeSync, readFileSync } from "node:fs";
import { settles } from "../lib/deadline";
import { readCgroupLayout } from "../linux/cgroup/layout";
import { CLONE_NEW } from "../linux/constants";
import { type FdReader, type FdWriter, readFd } from "../linux/fd-stream";
import { createPipe } from "../linux/pipe";
import { parseRights } from "../linux/proc";
import { runProgram } from "../linux/syscall-program/run";
import { type ContainerUser, findUser } from "../values/passwd";
import { type ContainerHandle, type OpenContainer, openContainer } from "./container";
import { enterProgram } from "./enter-program";
import { readInside } from "./read-inside";
import type { FilterCache } from "./seccomp";
import {
  createSessionCgroup,
  killSession,
  removeSessionCgroup,
  type SessionCgroup,
  sessionCgroup,
} from "./session-cgroup";
import { openMaster, openStreams, PTMX, type SessionStreams } from "./session-io";
import {
  EnterError,
  type ExecContext,
  programPaths,
  type SessionEnd,
  sessionEnd,
  sessionEnvironment,
  workingDirectories,
} from "./session-plan";

interface SessionRequest {
  /** What the command finds as its own name (argv[0]), if not the first word of the command. */
  readonly name?: string;
  readonly command: readonly string[];
  /** Whether the command gets a terminal; its output is then a single stream. */
  readonly terminal: boolean;
  readonly filters: FilterCache;
}

/** A command that runs in a container. Its creator must close it in every case. */
export interface Session {
  readonly stdin: FdWriter;
  readonly stdout: FdReader;
  /** Absent with a terminal. */
  readonly stderr?: FdReader;
  /** Settles when the command has ended; rejects with EnterError if it never started. */
  readonly ended: Promise<SessionEnd>;
  /** The window's size in characters; ignored without a terminal. */
  resize(rows: number, columns: number): void;
  /** Kills the command and all its child processes. */
  kill(): Promise<void>;
  /** Releases everything. A command that still runs is killed; background processes of one that ended are not. */
  close(): Promise<void>;
}

const PROGRAM = "nomad-nspawn-exec";
/** How long a killed command may take to end. */
const KILL_MS = 5_000;

/**
 * Runs a command in a container: in its namespaces and cgroup, with the given user, and the container's capabilities and seccomp filters.
 *
 * @throws ContainerGoneError, EnterError
 */
export async function openSession(
  supervised: ContainerHandle,
  context: ExecContext,
  request: SessionRequest,
): Promise<Session> {
  const [command] = request.command;
  if (command === undefined || command === "") throw new EnterError("The command to run is empty.");
  using container = await openContainer(supervised);
  const seen = await readInside(container, {
    files: ["/etc/passwd", "/etc/group"],
    find: request.terminal ? PTMX : undefined,
    open: (found, path) => (request.terminal ? openMaster(found, path) : undefined),
  });
  await using ours = new AsyncDisposableStack();
  const master = new DisposableStack();
  ours.defer(() => master.dispose());
  const { opened } = seen;
  if (opened !== undefined) master.defer(() => closeSync(opened));
  const user = userOf(seen.texts, context.user ?? "root");
  const cgroup = sessionCgroup(readCgroupLayout(), container.cgroups, `nomad-exec-${crypto.randomUUID().slice(0, 8)}`);
  const environment = sessionEnvironment(context, user, request.terminal);
  const program = enterProgram({
    leader: container.leader.pid,
    namespaces: container.namespaces,
    cgroups: cgroup.join.map((directory) => `${directory}/cgroup.procs`),
    oomScoreAdjust: container.oomScoreAdjust,
    credentials: user,
    ...container.rights,
    apparmor: container.apparmor,
    permitted: permittedInside(container),
    filters: await request.filters.of(container),
    terminal: request.terminal,
    directories: workingDirectories(context, user),
    programs: programPaths(command, context.environment),
    argv: [request.name ?? command, ...request.command.slice(1)],
    environment,
  });
  createSessionCgroup(cgroup);
  ours.defer(() => removeSessionCgroup(cgroup));
  master.move();
  const streams = openStreams(container, user, opened);
  ours.defer(() => streams.close());
  using theirs = new DisposableStack();
  for (const fd of new Set(streams.theirs)) theirs.defer(() => closeSync(fd));
  const report = createPipe();
  theirs.defer(() => closeSync(report.writeEnd));
  ours.defer(() => closeSync(report.readEnd));
  const [stdin, stdout, stderr] = streams.theirs;
  const child = runProgram(PROGRAM, program, [stdin, stdout, stderr, container.pidfd, report.writeEnd]);
  ours.move();
  return session(streams, cgroup, endOf(report.readEnd, child.exited, command), () => child.kill("SIGKILL"));
}

function session(
  streams: SessionStreams,
  cgroup: SessionCgroup,
  ended: Promise<SessionEnd>,
  killEntering: () => void,
): Session {
  let running = true;
  const end = ended.finally(() => {
    running = false;
  });
  // A caller that closes the session early does not wait for its result.
  const settled = end.catch(() => {});
  const kill = async () => {
    if (!running) return;
    // It may not have joined the cgroup yet; and without a report the command counts as killed.
    killEntering();
    await killSession(cgroup);
    // A process blocked in a hanging file system of its container ends with the container; the caller does not wait that long.
    await settles(settled, KILL_MS);
  };
  return {
    stdin: streams.stdin,
    stdout: streams.stdout,
    ...(streams.stderr === undefined ? {} : { stderr: streams.stderr }),
    ended: end,
    resize: streams.resize,
    kill,
    close: async () => {
      await kill();
      await streams.close();
      removeSessionCgroup(cgroup);
    },
  };
}

/** Reads the report to its end, which comes when the entering process is gone. */
async function endOf(fd: number, exited: Promise<number>, command: string): Promise<SessionEnd> {
  const reader = readFd(fd);
  try {
    const parts: Uint8Array[] = [];
    for (let part = await reader.next(); part !== undefined; part = await reader.next()) parts.push(part);
    await exited;
    return sessionEnd(Buffer.concat(parts), command);
  } finally {
    await reader.close();
  }
}

function userOf([passwd = "", group = ""]: readonly string[], name: string): ContainerUser {
  const user = findUser(name, passwd, group);
  if (user === undefined) throw new EnterError(`User ${JSON.stringify(name)} is not in the container's /etc/passwd.`);
  return user;
}

/** A process that joins a user namespace has all capabilities in it; otherwise the driver keeps its own. */
function permittedInside({ namespaces }: OpenContainer): bigint {
  if ((namespaces & CLONE_NEW.user) !== 0) return ~0n & 0xffff_ffff_ffff_ffffn;
  return parseRights(readFileSync("/proc/self/status", "utf8")).permitted;
}
