import { readFileSync, writeFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { type CgroupLayout, readCgroupLayout } from "../../host/cgroup-layout";
import {
  createCgroup,
  enterCgroup,
  killCgroup,
  oomKills,
  resetCgroup,
  SUPERVISORS_CGROUP,
} from "../../host/cgroup-task";
import { confineDevices, readDeviceRules } from "../../host/device-rules";
import { errnoCode } from "../../host/errno";
import { errorText } from "../../host/error-text";
import { inNetworkNamespace } from "../../host/network-namespace";
import { identify, signalProcess } from "../../host/process-info";
import { SIGKILL, signalNumber } from "../../host/signals";
import { parseEnvironmentFile } from "../../nspawn/environment-file";
import { allowedDevices } from "../allowed-devices";
import { exitOf, RESTART } from "../exit-of";
import { openLog } from "../log-file";
import { type PayloadWatch, watchPayload } from "../payload-watch";
import { type Exit, LaunchError, type LaunchSpec } from "../supervisor";
import { closeWhenRead } from "./log-readers";
import { lockOrAwait } from "./order-lock";
import { filesIn, type RunningState, readOrder, writeState } from "./state-files";
import { serveStatus } from "./status-socket";
import { pumpStderr } from "./stderr-pump";
import { withoutNodes } from "./without-nodes";

const STDOUT = 1;
/** How long others, who look whether there is a process like this one, may hold the order's lock. */
const LOCK_MS = 10_000;
/** How long the end of standard error may take after systemd-nspawn's own end. */
const LAST_WORDS_MS = 1_000;
const OOM_SCORE_ADJUST = "/proc/self/oom_score_adj";
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const UNCONFINED =
  "Which devices a container opens is not limited: this host lets us use neither a v1 devices controller nor BPF in a v2 tree. Containers cannot make device nodes (CAP_MKNOD) unless the job asks for it.";

/** What the supervising process reports to the plugin that started it, as one line of JSON. */
export interface StartReport {
  /** Why systemd-nspawn could not be started. */
  readonly failed?: string;
  /** Limits the host does not enforce, in sentences. */
  readonly warnings: readonly string[];
}

/**
 * The life of a supervising process: starts the systemd-nspawn that an order file describes, stays until its end, and
 * leaves the exit beside the order.
 *
 * @param args path of the order file, and the order's id
 * @returns exit code of this process
 */
export async function superviseMain(args: readonly string[]): Promise<number> {
  // The agent's process group gets SIGINT, a closing terminal SIGHUP, a host that goes down SIGTERM: all of them are
  // systemd-nspawn's or nobody's business, and we are to see its end.
  for (const signal of ["SIGINT", "SIGHUP", "SIGTERM"] as const) process.on(signal, () => {});
  try {
    const [orderFile, id] = args;
    if (orderFile === undefined || id === undefined) throw new Error("The order's file and id are missing.");
    return await supervise(dirname(orderFile), id);
  } catch (error) {
    report({ failed: errorText(error), warnings: [] });
    return 1;
  }
}

async function supervise(directory: string, id: string): Promise<number> {
  const files = filesIn(directory);
  // Held until this process ends, also a violent end.
  const lock = await lockOrAwait(files, () => false, LOCK_MS);
  const order = lock === undefined ? undefined : readOrder(files);
  const supervisor = identify(process.pid);
  if (order?.id !== id || supervisor === undefined) {
    lock?.[Symbol.dispose]();
    throw new Error(`The order ${id} in ${directory} was withdrawn.`);
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
  const argv = confined ? spec.argv : withoutNodes(spec.argv);
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
  // Nobody would find a container again whose state cannot be written, because /run is full for example.
  await using untold = new AsyncDisposableStack();
  untold.defer(async () => void (await killCgroup(layout, spec.machine)));
  for (let first = true; exit === undefined; first = false) {
    const { child, outside } = spawnInside(layout, { ...spec, argv }, environment, stdout, pump.childFd);
    untold.defer(() => child.kill(SIGKILL));
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
    status.tell(`running ${main.pid} ${main.startTime}`);
    if (first) report({ warnings: [...warnings, ...outside] });
    watch = watchPayload(main.pid, spec.mode, remember);
    await child.exited;
    // A single program may end with that code itself.
    if (spec.mode === "boot" && child.exitCode === RESTART && !stopped) {
      watch.close();
      await killCgroup(layout, spec.machine);
      await resetCgroup(layout, spec.machine);
      // Whoever wants its end may have said so meanwhile, and found nothing to kill.
      if (!stopped) continue;
    }
    if (child.signalCode !== null && watch.leader !== undefined) signalProcess(watch.leader, SIGKILL);
    await killCgroup(layout, spec.machine);
    await Promise.race([pump.finish(), Bun.sleep(LAST_WORDS_MS)]);
    exit = exitOf({
      machine: spec.machine,
      mode: spec.mode,
      nspawn:
        child.signalCode === null
          ? { code: child.exitCode ?? 1 }
          : { signal: signalNumber(String(child.signalCode)) ?? 0 },
      payloadStatus: watch.status(),
      payloadSeen: watch.seen,
      lastWords: pump.lastWords(),
      oomKills: oomKills(layout, spec.machine),
      killed: stopped,
      at: Date.now(),
    });
  }
  watch?.close();
  writeState(files.exit, exit);
  untold.move();
  await Promise.race([pump.done, Bun.sleep(LAST_WORDS_MS)]);
  status.tell("exited");
  status.closeDoor();
  await pump.done;
  closeWhenRead([stdout, stderr]);
  return 0;
}

/**
 * systemd-nspawn inherits the cgroups and the score it is spawned with; this process must not stay in them, under the
 * task's limits.
 *
 * @returns the process, and in sentences which cgroups it could not be put into
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
 * @throws LaunchError where the kernel refuses it: lowering needs CAP_SYS_RESOURCE (proc_pid_oom_score_adj(5))
 */
function setOomScoreAdjust(score: number): void {
  try {
    writeFileSync(OOM_SCORE_ADJUST, String(score));
  } catch (error) {
    if (errnoCode(error) !== "EACCES") throw error;
    throw new LaunchError(
      `Option oom_score_adjust = ${score} cannot be set on this client: it is lower than the agent's own score, which takes CAP_SYS_RESOURCE, and the agent does not have it.`,
      { recoverable: false, cause: error },
    );
  }
}

/** As systemd does it: the file's values win. What is no error is not for the standard error of the task. */
function nspawnEnvironment(spec: LaunchSpec): Readonly<Record<string, string>> {
  const { environmentFile } = spec;
  const secret = environmentFile === undefined ? {} : parseEnvironmentFile(readFileSync(environmentFile, "utf8"));
  return { PATH, SYSTEMD_LOG_LEVEL: "err", ...spec.environment, ...secret };
}

/** The plugin may be gone by now; the container is not to suffer from that. */
function report(startReport: StartReport): void {
  try {
    writeSync(STDOUT, `${JSON.stringify(startReport)}\n`);
  } catch {
    // Nobody listens.
  }
}
