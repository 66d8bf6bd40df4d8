import { ContainerGoneError } from "../../exec/container";
import type { ExecContext } from "../../exec/session-plan";
import { readIfThere } from "../../lib/files";
import type { PayloadMode } from "../../nspawn/payload";
import { ContainerSearch, waitForProcess } from "../../nspawn/processes";
import { nspawnSwitches } from "../../nspawn/switches";
import { createLogger } from "../../plugin/logger";
import { Supervisors } from "../../supervisor/supervisors";
import { hostnameProblem } from "../../values/names";

/**
 * Finds a running container of this driver by its machine's name; the caller closes it.
 *
 * @returns `context` is that of the task's first process
 * @throws ContainerGoneError if no container of that name is running
 */
export async function findContainer(machine: string) {
  const supervisors = new Supervisors(createLogger("nspawn", () => {}));
  const close = () => supervisors[Symbol.asyncDispose]();
  try {
    // What cannot be a machine's name is not one that an interrupted start has left.
    const container = hostnameProblem(machine) === undefined ? await supervisors.find(machine) : undefined;
    const pid = container?.mainPid();
    if (container === undefined || pid === undefined) {
      throw new ContainerGoneError(
        `No container ${JSON.stringify(machine)} of this driver is running on this host: for machine names see "nomad-driver-nspawn ps".`,
      );
    }
    const mode = modeOf(pid);
    const handle = { mainPid: () => container.mainPid(), ref: { ...container.ref, mode } };
    return { handle, context: await contextOf(pid, mode), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** How the payload runs in the container, from the command line of systemd-nspawn: the container's PID 1 does not know it. */
function modeOf(mainPid: number): PayloadMode {
  const switches = nspawnSwitches((readIfThere(`/proc/${mainPid}/cmdline`) ?? "").split("\0"));
  if (switches.includes("--boot")) return "boot";
  return switches.includes("--as-pid2") ? "pid2" : "pid1";
}

/** Waits until a starting container has executed its program: before that, its process has systemd-nspawn's environment. */
async function contextOf(mainPid: number, mode: PayloadMode): Promise<ExecContext> {
  const search = new ContainerSearch(mainPid, mode);
  const payload = await waitForProcess(mainPid, () => search.started());
  return { environment: payload === undefined ? {} : environmentOf(payload.pid) };
}

/** The initial environment of a process (proc_pid_environ(5)). */
function environmentOf(pid: number): Record<string, string> {
  const entries = (readIfThere(`/proc/${pid}/environ`) ?? "").split("\0");
  return Object.fromEntries(
    entries.flatMap((entry) => {
      const end = entry.indexOf("=");
      return end > 0 ? [[entry.slice(0, end), entry.slice(end + 1)]] : [];
    }),
  );
}
