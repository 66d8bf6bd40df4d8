import { existsSync, mkdirSync } from "node:fs";
import { errnoCode, errorText } from "../../lib/errors";
import { entryPoint } from "../../lib/executable";
import { inDirectory } from "../../lib/files";
import { defined } from "../../lib/objects";
import { bootId, isAlive } from "../../linux/proc";
import { nspawnSwitches } from "../../nspawn/switches";
import {
  type Container,
  type ContainerRef,
  type ContainerView,
  LaunchError,
  type LaunchSpec,
  NotSupervisedError,
  type Supervisor,
} from "../supervisor";
import { type FollowContext, ShimContainer } from "./container";
import { asRecord, optional, stringOf, stringsOf } from "./record";
import type { StartReport } from "./shim";
import { readExit, readRequest, readRunning, type StateFiles, stateFiles, writeState } from "./state";

/** Options of the process supervisor. */
interface ProcessSupervisorOptions {
  /** Directory of the containers' state; created on the first launch, with mode 0700, and removed with the last container. */
  readonly stateDir?: string;
  /** argv that starts a shim, for tests; the request's file and ID are appended. */
  readonly shim?: readonly string[];
  /** Logs limits that the host does not enforce, and leftovers that cannot be removed. */
  readonly log: { warn(message: string, machine: string): void };
  /** Called when a shim is found killed. */
  readonly onShimKilled?: () => void;
}

/** systemd-nspawn mounts this over inaccessible paths, but does not create it. */
const INACCESSIBLE = "/run/systemd/inaccessible";
const STATE_DIR = "/run/nomad-driver-nspawn";
/** Paths of Unix sockets have at most 107 bytes (unix(7)). */
const MAX_SOCKET_PATH = 107;
const MACHINE_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

/** A supervisor that starts a shim for each container. Constructing it changes nothing on the host. */
export class ProcessSupervisor implements Supervisor {
  readonly name = "process";
  readonly #stateDir: string;
  readonly #shim: readonly string[];
  readonly #log: FollowContext;
  /** Kinds of warnings that were logged. */
  readonly #warned = new Set<string>();
  readonly #followed = new Set<ShimContainer>();

  constructor({ stateDir = STATE_DIR, shim = entryPoint("supervise"), log, onShimKilled }: ProcessSupervisorOptions) {
    this.#stateDir = stateDir;
    this.#shim = shim;
    this.#log = { warn: (message, machine) => log.warn(message, machine), ...defined({ shimKilled: onShimKilled }) };
  }

  async launch(spec: LaunchSpec): Promise<Container> {
    const { machine, mode } = spec;
    check(spec, this.#stateDir);
    const files = stateFiles(this.#stateDir, machine);
    const ref = { supervisor: "process", machine, mode, bootId: bootId() } as const;
    await removeStale(files, ref, this.#log);
    try {
      await inDirectory(this.#stateDir, () => mkdirSync(files.directory, { mode: 0o700 }));
      const id = crypto.randomUUID();
      writeState(files.order, { id, bootId: ref.bootId, spec });
      this.#warnOnce(machine, await start([...this.#shim, files.order, id]));
      return await this.#follow(files, ref);
    } catch (error) {
      // Whatever the shim did: a container without a handle must not run.
      await removeStale(files, ref, this.#log).catch((left: unknown) => {
        this.#log.warn(
          `Cleanup after the failed start of container ${machine} is incomplete: ${errorText(left)}`,
          machine,
        );
      });
      throw asLaunchError(error);
    }
  }

  async attach(ref: ContainerRef): Promise<Container> {
    const files = stateFiles(this.#stateDir, ref.machine);
    const request = MACHINE_NAME.test(ref.machine) && ref.bootId === bootId() ? readRequest(files) : undefined;
    if (request === undefined || request.bootId !== ref.bootId) {
      throw new NotSupervisedError(`Container ${ref.machine} does not exist (since boot).`);
    }
    return this.#follow(files, { ...ref, mode: request.spec.mode });
  }

  async discard(machine: string): Promise<void> {
    if (!MACHINE_NAME.test(machine)) return;
    const ref = { supervisor: "process", machine, mode: "pid1", bootId: bootId() } as const;
    await removeStale(stateFiles(this.#stateDir, machine), ref, this.#log);
  }

  async view(machine: string): Promise<ContainerView | undefined> {
    const files = stateFiles(this.#stateDir, machine);
    const request = MACHINE_NAME.test(machine) ? readRequest(files) : undefined;
    if (request === undefined || request.bootId !== bootId()) return undefined;
    const running = readRunning(files);
    const alive = running !== undefined && isAlive(running.main);
    return {
      supervisor: this.name,
      mainPid: alive ? running.main.pid : undefined,
      exited: readExit(files) !== undefined,
      startedAt: running?.startedAt ?? 0,
    };
  }

  async close(): Promise<void> {
    for (const container of this.#followed) container.detach();
    this.#followed.clear();
  }

  async #follow(files: StateFiles, ref: ContainerRef): Promise<Container> {
    const container = await ShimContainer.follow(files, ref, this.#log);
    this.#followed.add(container);
    container.exit.then(() => this.#followed.delete(container));
    return container;
  }

  /** Logs each kind of warning once, because a host lacks the same controllers for every task. */
  #warnOnce(machine: string, warnings: readonly string[]): void {
    for (const warning of warnings) {
      const kind = warning.replaceAll(machine, "").replace(/\([^)]*\)/g, "");
      if (!this.#warned.has(kind)) this.#log.warn(warning, machine);
      this.#warned.add(kind);
    }
  }
}

function check(spec: LaunchSpec, stateDir: string): void {
  const refuse = (sentence: string): never => {
    throw new LaunchError(sentence, { recoverable: false });
  };
  if (!MACHINE_NAME.test(spec.machine)) refuse(`${JSON.stringify(spec.machine)} is not a valid machine name.`);
  const properties = Object.keys(spec.properties);
  if (properties.length > 0) {
    refuse(
      `Unit properties (${properties.join(", ")}) need systemd as PID 1; on this host the driver's shims supervise containers.`,
    );
  }
  if (spec.output !== undefined) {
    refuse(
      `Option log_driver = ${JSON.stringify(spec.output)} needs systemd as PID 1; on this host the driver's shims supervise containers.`,
    );
  }
  if (
    nspawnSwitches(spec.argv).some((argument) => argument.startsWith("--inaccessible=")) &&
    !existsSync(INACCESSIBLE)
  ) {
    refuse(
      `Option inaccessible needs ${INACCESSIBLE}, which systemd as PID 1 creates; it does not exist on this host.`,
    );
  }
  const [program] = spec.argv;
  if (program === undefined || !program.startsWith("/")) refuse("systemd-nspawn's path must be absolute.");
  const { socket } = stateFiles(stateDir, spec.machine);
  if (Buffer.byteLength(socket) > MAX_SOCKET_PATH) refuse(`The path ${socket} is too long for a socket.`);
}

/**
 * Removes a container of the same name, running or not: an interrupted launch of the same task left it, no handle of it was
 * ever returned, and the task must not run twice.
 */
async function removeStale(files: StateFiles, ref: ContainerRef, log: FollowContext): Promise<void> {
  if (!existsSync(files.directory)) return;
  const stale = await ShimContainer.follow(files, ref, log);
  if (stale.mainPid() !== undefined)
    log.warn(`Removing container ${ref.machine} of an interrupted start.`, ref.machine);
  await stale.release();
}

/**
 * Starts a shim in its own session; returns when systemd-nspawn is forked. It does not inherit the agent's working directory and
 * environment, because they must not influence what the shim loads.
 *
 * @returns limits that are not enforced, as sentences
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
    const stderr = (await child.stderr.text()).trim().slice(0, 500);
    await child.exited;
    const how = child.signalCode === null ? `exited with code ${child.exitCode}` : `was killed by ${child.signalCode}`;
    throw new LaunchError(`The container's shim ${how} before it started systemd-nspawn. ${stderr}`.trim(), {
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
