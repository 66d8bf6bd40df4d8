import { readFileSync, writeFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";
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
import { identify, signalProcess } from "../../linux/proc";
import { allowedDevices, dropMknod } from "../../nspawn/devices";
import { parseEnvironmentFile } from "../../nspawn/environment";
import { decodeExit, RESTART } from "../../nspawn/exit";
import type { Exit } from "../../nspawn/payload";
import { type PayloadWatch, watchPayload } from "../../nspawn/payload-watch";
import { SIGKILL, signalNumber } from "../../values/signals";
import { openLog } from "../log-file";
import { LaunchError, type LaunchSpec } from "../supervisor";
import { closeAfterDrain, pumpStderr } from "./log-pipes";
import { filesIn, lockOrAwait, type RunningState, readRequest, writeState } from "./state";
import { serveStatus } from "./status-protocol";

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
  const order = lock === undefined ? undefined : readRequest(files);
  const supervisor = identify(process.pid);
  if (order?.id !== id || supervisor === undefined) {
    lock?.[Symbol.dispose]();
    throw new Error(`The launch request ${id} in ${directory} was cancelled.`);
  }
  const { spec } = order;
  const layout = readCgroupLayout();
  const environment = nspawnEnvironment(spec);
  const stdout = openLog(spec.stdoutPath, spec.logOwner);
  const stderr = openLog(spec.stderrPath, spec.logOwner);
  const pump = pumpStderr(stderr);
  const warnings = [...createCgroup(layout, spec.machine, spec.limits)];
  const confined = confineDevices(layout, spec.machine, readDeviceRules(allowedDevices(spec)));
  if (!confined) warnings.push(UNCONFINED);
  const argv = confined ? spec.argv : dropMknod(spec.argv);
  let stopped = false;
  let watch: PayloadWatch | undefined;
  const status = serveStatus(files.socket, {
    stop: () => {
      stopped = true;
    },
    look: () => watch?.look(),
  });

  const startedAt = Date.now();
  let exit: Exit | undefined;
  // A container whose state cannot be written, for example because /run is full, could not be found again: kill it on errors.
  await using rollback = new AsyncDisposableStack();
  rollback.defer(async () => void (await killCgroup(layout, spec.machine)));
  for (let first = true; exit === undefined; first = false) {
    const { child, outside } = spawnInside(layout, { ...spec, argv }, environment, stdout, pump.childFd);
    rollback.defer(() => child.kill(SIGKILL));
    const main = identify(child.pid) ?? { pid: child.pid, startTime: 0 };
    const remember = (found?: PayloadWatch): void => writeState(files.running, stateOf(found));
    const stateOf = (found?: PayloadWatch): RunningState => ({
      supervisor,
      main,
      ...(found?.leader === undefined ? {} : { leader: found.leader }),
      locks: found?.locks ?? [],
      startedAt,
    });
    remember();
    status.send(`running ${main.pid} ${main.startTime}`);
    if (first) report({ warnings: [...warnings, ...outside] });
    watch = watchPayload(main.pid, spec.mode, remember);
    await child.exited;
    // A single command may exit with that code itself.
    if (spec.mode === "boot" && child.exitCode === RESTART && !stopped) {
      watch.close();
      await killCgroup(layout, spec.machine);
      await resetCgroup(layout, spec.machine);
      // A stop may have been requested meanwhile, when no container existed that could be killed.
      if (!stopped) continue;
    }
    if (child.signalCode !== null && watch.leader !== undefined) signalProcess(watch.leader, SIGKILL);
    await killCgroup(layout, spec.machine);
    await settles(pump.finish(), STDERR_END_MS);
    exit = decodeExit({
      machine: spec.machine,
      mode: spec.mode,
      nspawn:
        child.signalCode === null
          ? { code: child.exitCode ?? 1 }
          : { signal: signalNumber(String(child.signalCode)) ?? 0 },
      payloadStatus: watch.status(),
      payloadSeen: watch.seen,
      stderrTail: pump.stderrTail(),
      oomKills: oomKills(layout, spec.machine),
      killed: stopped,
      at: Date.now(),
    });
  }
  watch?.close();
  writeState(files.exit, exit);
  rollback.move();
  await settles(pump.done, STDERR_END_MS);
  status.send("exited");
  status.stopListening();
  await pump.done;
  closeAfterDrain([stdout, stderr]);
  return 0;
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
  const { environmentFile } = spec;
  const secret = environmentFile === undefined ? {} : parseEnvironmentFile(readFileSync(environmentFile, "utf8"));
  return { PATH, SYSTEMD_LOG_LEVEL: "err", ...secret };
}

/** The plugin may be gone by now; the container must keep running. */
function report(startReport: StartReport): void {
  try {
    writeSync(STDOUT, `${JSON.stringify(startReport)}\n`);
  } catch {
    // The plugin has closed its end.
  }
}
