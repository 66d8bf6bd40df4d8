import { existsSync, mkdirSync } from "node:fs";
import { bootId } from "../../host/boot-id";
import { errnoCode } from "../../host/errno";
import { errorText } from "../../host/error-text";
import { inDirectory } from "../../host/in-directory";
import { nspawnSwitches } from "../nspawn-switches";
import {
  LaunchError,
  type LaunchSpec,
  NotSupervisedError,
  type Supervised,
  type SupervisedRef,
  type Supervisor,
} from "../supervisor";
import { asRecord, optional, stringOf, stringsOf } from "./fields";
import { readOrder, type StateFiles, stateFiles, writeState } from "./state-files";
import type { StartReport } from "./supervise";
import { followContainer, type SupervisedProcess } from "./supervised-process";

/** Where and how the process supervisor works. */
export interface ProcessSupervisorOptions {
  /** Directory of the containers' state; made on the first launch, with mode 0700, and removed with the last container. */
  readonly stateDir?: string;
  /** argv that starts this program in its supervising mode; the order's file and id are appended. */
  readonly self: readonly string[];
  /** Takes sentences about limits the host does not enforce, and remains that cannot be removed. */
  readonly log: { warn(message: string): void };
}

/** What systemd-nspawn mounts over inaccessible paths; it does not make it itself. */
const INACCESSIBLE = "/run/systemd/inaccessible";
const STATE_DIR = "/run/nomad-driver-nspawn";
/** Unix sockets have paths of 107 bytes at most; Linux, unix(7). */
const MAX_SOCKET_PATH = 107;
const MACHINE_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

/** A supervisor that gives each container a small process of its own. Constructing it touches nothing. */
export function createProcessSupervisor(options: ProcessSupervisorOptions): Supervisor {
  const { stateDir = STATE_DIR, self, log } = options;
  const told = new Set<string>();
  const followed = new Set<SupervisedProcess>();

  const follow = async (files: StateFiles, ref: SupervisedRef): Promise<Supervised> => {
    const supervised = await followContainer(files, ref, { warn: (message) => log.warn(message) });
    followed.add(supervised);
    supervised.exit.then(() => followed.delete(supervised));
    return supervised;
  };

  /** The same host misses the same controllers for every task: once is enough. */
  const warnOnce = (machine: string, warnings: readonly string[]): void => {
    for (const warning of warnings) {
      const kind = warning.replaceAll(machine, "").replace(/\([^)]*\)/g, "");
      if (!told.has(kind)) log.warn(warning);
      told.add(kind);
    }
  };

  return {
    name: "process",
    async launch(spec) {
      check(spec, stateDir);
      const files = stateFiles(stateDir, spec.machine);
      const ref = { supervisor: "process", machine: spec.machine, mode: spec.mode, bootId: bootId() } as const;
      await removeStale(files, ref, log);
      try {
        await inDirectory(stateDir, () => mkdirSync(files.directory, { mode: 0o700 }));
        const id = crypto.randomUUID();
        writeState(files.order, { id, bootId: ref.bootId, spec });
        warnOnce(spec.machine, await start([...self, files.order, id]));
        return await follow(files, ref);
      } catch (error) {
        // Whatever came of it: a container that nobody gets to know must not run.
        await removeStale(files, ref, log).catch((left: unknown) => {
          log.warn(`Of the failed start of container ${spec.machine} something may be left: ${errorText(left)}`);
        });
        throw asLaunchError(error);
      }
    },
    async attach(ref) {
      const files = stateFiles(stateDir, ref.machine);
      const order = MACHINE_NAME.test(ref.machine) && ref.bootId === bootId() ? readOrder(files) : undefined;
      if (order === undefined || order.bootId !== ref.bootId) {
        throw new NotSupervisedError(`There is no trace of container ${ref.machine} on this host since it was booted.`);
      }
      return follow(files, { ...ref, mode: order.spec.mode });
    },
    async discard(machine) {
      if (!MACHINE_NAME.test(machine)) return;
      const ref = { supervisor: "process", machine, mode: "pid1", bootId: bootId() } as const;
      await removeStale(stateFiles(stateDir, machine), ref, log);
    },
    async close() {
      for (const supervised of followed) supervised.detach();
      followed.clear();
    },
  };
}

function check(spec: LaunchSpec, stateDir: string): void {
  const refuse = (sentence: string): never => {
    throw new LaunchError(sentence, { recoverable: false });
  };
  if (!MACHINE_NAME.test(spec.machine)) refuse(`${JSON.stringify(spec.machine)} cannot be a machine name.`);
  const properties = Object.keys(spec.properties);
  if (properties.length > 0) {
    refuse(
      `Unit properties (${properties.join(", ")}) need systemd as PID 1; on this host containers are supervised by processes of the driver.`,
    );
  }
  if (
    nspawnSwitches(spec.argv).some((argument) => argument.startsWith("--inaccessible=")) &&
    !existsSync(INACCESSIBLE)
  ) {
    refuse(`Option inaccessible needs ${INACCESSIBLE}, which systemd makes where it is PID 1; this host has none.`);
  }
  const [program] = spec.argv;
  if (program === undefined || !program.startsWith("/")) refuse("systemd-nspawn's path must be absolute.");
  const { socket } = stateFiles(stateDir, spec.machine);
  if (Buffer.byteLength(socket) > MAX_SOCKET_PATH) refuse(`The path ${socket} is longer than a socket's may be.`);
}

/**
 * A container of the same name, ended or running, is what an interrupted launch of this very task left: no handle of it
 * was ever given out, and the task must not run twice.
 */
async function removeStale(files: StateFiles, ref: SupervisedRef, log: { warn(message: string): void }): Promise<void> {
  if (!existsSync(files.directory)) return;
  const stale = await followContainer(files, ref, log);
  if (stale.mainPid() !== undefined)
    log.warn(`Container ${ref.machine} was left by an interrupted start and is removed.`);
  await stale.release();
}

/**
 * Starts a supervising process in a session of its own; returns when systemd-nspawn is forked. Its working directory and
 * environment are not the agent's, for neither is to decide what a process of ours loads.
 *
 * @returns limits that are not enforced, in sentences
 */
async function start(argv: readonly string[]): Promise<readonly string[]> {
  const child = Bun.spawn([...argv], {
    cwd: "/",
    env: { PATH: "/usr/bin:/bin" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    detached: true,
  });
  const line = await firstLine(child.stdout);
  child.unref();
  if (line === undefined) {
    const words = (await child.stderr.text()).trim().slice(0, 500);
    await child.exited;
    const how = child.signalCode === null ? `with code ${child.exitCode}` : `by ${child.signalCode}`;
    throw new LaunchError(`The supervising process ended ${how} before it started systemd-nspawn. ${words}`.trim(), {
      recoverable: child.signalCode !== null,
    });
  }
  await child.stderr.cancel();
  const report = parseReport(line);
  if (report.failed === undefined) return report.warnings;
  await child.exited;
  throw new LaunchError(report.failed, { recoverable: /EAGAIN|ENOMEM|EMFILE|ENFILE/.test(report.failed) });
}

function parseReport(line: string): StartReport {
  const report = asRecord(JSON.parse(line));
  return { ...optional(report, "failed", stringOf), warnings: stringsOf(report, "warnings") };
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string | undefined> {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      text += decoder.decode(value, { stream: true });
      const end = text.indexOf("\n");
      if (end >= 0) return text.slice(0, end);
    }
  } finally {
    await reader.cancel();
  }
}

function asLaunchError(error: unknown): LaunchError {
  if (error instanceof LaunchError) return error;
  const code = errnoCode(error) ?? "";
  const message = errorText(error);
  const recoverable = ["EAGAIN", "ENOMEM", "EMFILE", "ENFILE", "ENOSPC"].includes(code);
  return new LaunchError(message, { recoverable, cause: error });
}
