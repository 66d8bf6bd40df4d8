/**
 * The supervisor for hosts without systemd as PID 1. Each container has a *shim*: a process of this program, in a session and cgroup of
 * its own, that starts systemd-nspawn, waits for it, starts it again when the container reboots, and records its exit. It outlives the
 * plugin.
 *
 * Shim and plugins share a directory for each container (state.ts). The *launch request* is the plugin's order to the shim; the shim
 * holds its lock as long as it lives, so a plugin that gets the lock knows that no shim can start that container any more: that *cancels*
 * the request. The *running state* is the shim's record of its processes, with which a plugin kills the container if the shim was killed.
 * The *exit* file is the result. A socket (status-protocol.ts) reports changes to plugins; its end is the end of the shim.
 */

import { readFileSync, writeFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";

import type { Subprocess } from "bun";

import { settles } from "../../lib/deadline";

import { errnoCode, errorText } from "../../lib/errors";
import { confineDevices, readDeviceRules } from "../../linux/cgroup/devices";
import { type CgroupLayout, readCgroupLayout } from "../../linux/cgroup/layout";
import {
  createCgroup,
  enterCgroup,
  killCgroup,
  oomKills,
  resetCgroup,
  SUPERVISORS_CGROUP,
} from "../../linux/cgroup/manager";
import { inNetworkNamespace } from "../../linux/network-namespace";
import { identify, type ProcessIdentity, signalProcess } from "../../linux/proc";
import { allowedDevices, dropMknod } from "../../nspawn/devices";
import { parseEnvironmentFile } from "../../nspawn/environment-file";
import { decodeExit, RESTART } from "../../nspawn/exit";
import type { Exit } from "../../nspawn/payload";
import { type PayloadWatch, watchPayload } from "../../nspawn/payload-watch";
import { SIGKILL, signalNumber } from "../../values/signals";
import { openLog } from "../log-file";
import { LaunchError, type LaunchSpec } from "../supervisor";
import { closeAfterDrain, pumpStderr, type StderrPump } from "./log-pipes";
import { filesIn, lockOrAwait, readRequest, type StateFiles, writeState } from "./state";
import { type StatusServer, serveStatus } from "./status-protocol";

const STDOUT = 1;
/** How long plugins, which check whether a shim is running, may hold the lock of the launch request. */
const LOCK_MS = 10_000;
/** How long standard error may take to reach its end after systemd-nspawn has exited. */
const STDERR_END_MS = 1_000;
const OOM_SCORE_ADJUST = "/proc/self/oom_score_adj";
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const UNCONFINED =
  "Device cgroup control is unavailable: neither a v1 devices controller nor BPF in a v2 hierarchy can be used on this host. The devices that containers open are therefore not restricted; containers cannot create device nodes (CAP_MKNOD) unless the job requests it.";

/** A shim's report to the plugin that started it, as one line of JSON. */
export interface StartReport {
  /** Why systemd-nspawn could not be started. */
  readonly failed?: string;
  /** Limits that the host does not enforce, as sentences. */
  readonly warnings: readonly string[];
}

/**
 * The main function of a shim: starts the systemd-nspawn of a launch request, waits until it exits, and writes the exit status
 * beside the request.
 *
 * @param args path of the launch request, and its ID
 * @returns exit code of this process
 */
export async function shimMain(args: readonly string[]): Promise<number> {
  // SIGINT comes from the agent's process group, SIGHUP from a closing terminal, SIGTERM from a host that shuts down: the shim
  // ignores them, because it must live until systemd-nspawn exits.
  for (const signal of ["SIGINT", "SIGHUP", "SIGTERM"] as const) process.on(signal, () => {});
  try {
    const [orderFile, id] = args;
    if (orderFile === undefined || id === undefined) throw new Error("usage: supervise FILE ID");
    return await shim(dirname(orderFile), id);
  } catch (error) {
    report({ failed: errorText(error), warnings: [] });
    return 1;
  }
}

async function shim(directory: string, id: string): Promise<number> {
  const files = filesIn(directory);
  // Held until this process exits, even if it is killed.
  const lock = await lockOrAwait(files, () => false, LOCK_MS);
  const request = lock === undefined ? undefined : readRequest(files);
  const supervisor = identify(process.pid);
  if (request?.id !== id || supervisor === undefined) {
    lock?.[Symbol.dispose]();
    throw new Error(`The launch request ${id} in ${directory} was cancelled.`);
  }
  return new Shim(files, request.spec, supervisor).run();
}

/** Runs one container: starts its systemd-nspawn, again after each reboot, and records how it exited. */
class Shim {
  readonly #files: StateFiles;
  readonly #spec: LaunchSpec;
  /** This process. */
  readonly #supervisor: ProcessIdentity;
  readonly #layout = readCgroupLayout();
  readonly #startedAt = Date.now();
  readonly #environment: Readonly<Record<string, string>>;
  readonly #logs: readonly [stdout: number, stderr: number];
  readonly #pump: StderrPump;
  readonly #status: StatusServer;
  #watch: PayloadWatch | undefined;
  /** A plugin asked to stop the container: it is not started again, and its exit is no OOM kill. */
  #stopped = false;

  constructor(files: StateFiles, spec: LaunchSpec, supervisor: ProcessIdentity) {
    this.#files = files;
    this.#spec = spec;
    this.#supervisor = supervisor;
    this.#environment = nspawnEnvironment(spec);
    this.#logs = [openLog(spec.stdoutPath, spec.logOwner), openLog(spec.stderrPath, spec.logOwner)];
    this.#pump = pumpStderr(this.#logs[1]);
    this.#status = serveStatus(files.socket, {
      stop: () => {
        this.#stopped = true;
      },
      inspect: () => this.#watch?.inspect(),
    });
  }

  async run(): Promise<number> {
    const { machine, limits, argv: requested } = this.#spec;
    const warnings = [...createCgroup(this.#layout, machine, limits)];
    const confined = confineDevices(this.#layout, machine, readDeviceRules(allowedDevices(this.#spec)));
    if (!confined) warnings.push(UNCONFINED);
    const argv = confined ? requested : dropMknod(requested);
    const exit = await this.#supervise({ ...this.#spec, argv }, warnings);
    await settles(this.#pump.done, STDERR_END_MS);
    this.#status.send("exited");
    this.#status.stopListening();
    await this.#pump.done;
    closeAfterDrain(this.#logs);
    return exit;
  }

  /** Runs the container to its end and records its exit; returns the exit code of this process. */
  async #supervise(spec: LaunchSpec, warnings: readonly string[]): Promise<number> {
    // A container whose state cannot be written, for example because /run is full, could not be found again: kill it on errors.
    await using rollback = new AsyncDisposableStack();
    rollback.defer(async () => void (await killCgroup(this.#layout, spec.machine)));
    for (let first = true; ; first = false) {
      const { child, outside } = spawnInside(this.#layout, spec, this.#environment, this.#logs[0], this.#pump.childFd);
      rollback.defer(() => child.kill(SIGKILL));
      this.#watch = this.#record(child.pid);
      if (first) report({ warnings: [...warnings, ...outside] });
      await child.exited;
      if (await this.#restarts(child.exitCode)) continue;
      const exit = await this.#exitOf(child, this.#watch);
      this.#watch.close();
      writeState(this.#files.exit, exit);
      rollback.move();
      return 0;
    }
  }

  /** Records the systemd-nspawn that was just started, for plugins that attach, and watches its payload. */
  #record(pid: number): PayloadWatch {
    const main = identify(pid) ?? { pid, startTime: 0 };
    const remember = (found?: PayloadWatch): void =>
      writeState(this.#files.running, {
        supervisor: this.#supervisor,
        main,
        ...(found?.leader === undefined ? {} : { leader: found.leader }),
        locks: found?.locks ?? [],
        startedAt: this.#startedAt,
      });
    remember();
    this.#status.send(`running ${main.pid} ${main.startTime}`);
    return watchPayload(main.pid, this.#spec.mode, { found: remember, started: () => this.#status.started() });
  }

  /** Whether the container reboots; its cgroup is then ready for the next systemd-nspawn. */
  async #restarts(exitCode: number | null): Promise<boolean> {
    const { mode, machine } = this.#spec;
    // A single command may exit with that code itself.
    if (mode !== "boot" || exitCode !== RESTART || this.#stopped) return false;
    this.#watch?.close();
    await killCgroup(this.#layout, machine);
    await resetCgroup(this.#layout, machine);
    // A stop may have been requested meanwhile, when no container existed that could be killed.
    return !this.#stopped;
  }

  async #exitOf(child: Subprocess, watch: PayloadWatch): Promise<Exit> {
    const { mode, machine } = this.#spec;
    const { signalCode, exitCode } = child;
    if (signalCode !== null && watch.leader !== undefined) signalProcess(watch.leader, SIGKILL);
    await killCgroup(this.#layout, machine);
    await settles(this.#pump.finish(), STDERR_END_MS);
    return decodeExit({
      machine,
      mode,
      nspawn: signalCode === null ? { code: exitCode ?? 1 } : { signal: signalNumber(String(signalCode)) ?? 0 },
      payloadStatus: watch.status(),
      payloadSeen: watch.seen,
      stderrTail: this.#pump.stderrTail(),
      oomKills: oomKills(this.#layout, machine),
      killed: this.#stopped,
      at: Date.now(),
    });
  }
}

/**
 * Spawns systemd-nspawn in the task's cgroups and with its OOM score, which it inherits; this process leaves them afterwards,
 * because the task's limits must not apply to it.
 *
 * @returns the process, and as sentences the cgroups that it could not be put into
 */
function spawnInside(
  layout: CgroupLayout,
  spec: LaunchSpec,
  environment: Readonly<Record<string, string>>,
  stdout: number,
  stderr: number,
) {
  createCgroup(layout, SUPERVISORS_CGROUP, {});
  const outside = enterCgroup(layout, spec.machine);
  const own = readFileSync(OOM_SCORE_ADJUST, "utf8");
  try {
    if (spec.oomScoreAdjust !== undefined) setOomScoreAdjust(spec.oomScoreAdjust);
    const spawn = () => Bun.spawn([...spec.argv], { cwd: "/", env: environment, stdin: "ignore", stdout, stderr });
    const child = spec.networkNamespace === undefined ? spawn() : inNetworkNamespace(spec.networkNamespace, spawn);
    return { child, outside };
  } finally {
    if (spec.oomScoreAdjust !== undefined) writeFileSync(OOM_SCORE_ADJUST, own);
    enterCgroup(layout, SUPERVISORS_CGROUP);
  }
}

/**
 * Sets this process's score, which a child inherits.
 *
 * @throws LaunchError if the kernel rejects it: lowering needs CAP_SYS_RESOURCE (proc_pid_oom_score_adj(5))
 */
function setOomScoreAdjust(score: number): void {
  try {
    writeFileSync(OOM_SCORE_ADJUST, String(score));
  } catch (error) {
    if (errnoCode(error) !== "EACCES") throw error;
    throw new LaunchError(
      `Option oom_score_adjust = ${score} cannot be set on this client: it is lower than the agent's own score, which needs CAP_SYS_RESOURCE, and the agent does not have it.`,
      { recoverable: false, cause: error },
    );
  }
}

/** As with systemd, the file's values take precedence. The log level keeps messages that are not errors out of the task's stderr. */
function nspawnEnvironment(spec: LaunchSpec): Readonly<Record<string, string>> {
  const { environmentFile, notifySocket } = spec;
  const secret = environmentFile === undefined ? {} : parseEnvironmentFile(readFileSync(environmentFile, "utf8"));
  const notify = notifySocket === undefined ? {} : { NOTIFY_SOCKET: notifySocket };
  return { PATH, SYSTEMD_LOG_LEVEL: "err", ...notify, ...secret };
}

/** The plugin may be gone by now; the container must keep running. */
function report(startReport: StartReport): void {
  try {
    writeSync(STDOUT, `${JSON.stringify(startReport)}\n`);
  } catch {
    // The plugin has closed its end.
  }
}
