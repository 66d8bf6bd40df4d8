import { readFileSync } from "node:fs";
import { ContainerGoneError } from "../../exec/container";
import type { ExecContext } from "../../exec/session-plan";
import { bootId } from "../../host/boot-id";
import { isMissing } from "../../host/errno";
import { selfCommand } from "../../host/self-command";
import { systemdPresence } from "../../host/systemd-booted";
import { createLogger } from "../../plugin/logger";
import { findPayload } from "../../supervisor/payload";
import { createProcessSupervisor } from "../../supervisor/process/process-supervisor";
import { NotSupervisedError, type Supervised, type Supervisor } from "../../supervisor/supervisor";
import { createSystemdSupervisor } from "../../supervisor/systemd/supervisor";

/** A running container of the driver's, found by its machine's name; whoever has it closes it. */
export interface FoundContainer {
  readonly supervised: Supervised;
  /** As the task's first process has it. */
  readonly context: ExecContext;
  close(): Promise<void>;
}

/**
 * Finds a container.
 *
 * @throws ContainerGoneError where no container of that name runs
 */
export async function findContainer(machine: string): Promise<FoundContainer> {
  const log = createLogger("nspawn", () => {});
  const supervisors: readonly Supervisor[] = [
    ...(systemdPresence().booted ? [createSystemdSupervisor(log)] : []),
    createProcessSupervisor({ self: [...selfCommand(), "supervise"], log }),
  ];
  const close = async () => {
    for (const supervisor of supervisors) await supervisor.close();
  };
  try {
    for (const supervisor of supervisors) {
      const supervised = await attach(supervisor, machine);
      const pid = supervised?.mainPid();
      if (supervised !== undefined && pid !== undefined) return { supervised, context: contextOf(pid), close };
    }
    throw new ContainerGoneError(
      `No container ${JSON.stringify(machine)} of the driver's runs on this host: the machine's name is told by "nomad alloc status" and machinectl.`,
    );
  } catch (error) {
    await close();
    throw error;
  }
}

async function attach(supervisor: Supervisor, machine: string): Promise<Supervised | undefined> {
  try {
    return await supervisor.attach({ supervisor: supervisor.name, machine, mode: "pid1", bootId: bootId() });
  } catch (error) {
    if (error instanceof NotSupervisedError) return undefined;
    throw error;
  }
}

function contextOf(mainPid: number): ExecContext {
  const payload = findPayload(mainPid, "pid1");
  return { environment: payload === undefined ? {} : environmentOf(payload.pid) };
}

/** The environment a process began with (proc_pid_environ(5)). */
function environmentOf(pid: number): Record<string, string> {
  try {
    const entries = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
    return Object.fromEntries(
      entries.flatMap((entry) => {
        const end = entry.indexOf("=");
        return end > 0 ? [[entry.slice(0, end), entry.slice(end + 1)]] : [];
      }),
    );
  } catch (error) {
    if (isMissing(error)) return {};
    throw error;
  }
}
