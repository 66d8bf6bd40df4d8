import { closeSync, constants, openSync, writeSync } from "node:fs";
import { type SysctlValue, sysctlsOf } from "../config/combinations";
import type { TaskOptions } from "../config/task/options";
import { foreignNamespaces } from "../exec/container";
import { hasUserIds, setSysctls } from "../exec/sysctls";
import { ConfigError, errorText, ifThere } from "../lib/errors";
import type { Logger } from "../lib/logger";
import { CLONE_NEW } from "../linux/constants";
import { errnoEntry } from "../linux/ffi";
import type { ProcessIdentity } from "../linux/proc";
import { machinePaths } from "../machine/files";
import type { NetworkPlan } from "../network/network";
import { ContainerSearch, waitForProcess } from "../nspawn/processes";
import { type Container, LaunchError } from "../supervisor/supervisor";

/** Preparing a container's root, which comes before its namespaces, can take long. */
const START_MS = 3_600_000;

/** What the driver sets in a container's namespaces from outside, at each start of the container. */
export interface InsideSetup {
  readonly sysctls: readonly SysctlValue[];
  /** The namespaces that the container has of its own, as CLONE_NEW* flags. */
  readonly namespaces: number;
}

/** What the options of a task ask for. */
export function insideSetup(options: Pick<TaskOptions, "sysctl">, network: Pick<NetworkPlan, "kind">): InsideSetup {
  return {
    sysctls: sysctlsOf(options),
    namespaces: CLONE_NEW.ipc | (network.kind === "host" ? 0 : CLONE_NEW.net),
  };
}

/** Opens the gate of a container (payload-wrapper.ts); undefined if it has none. @throws Error */
function openGate(machine: string): number | undefined {
  const { gate } = machinePaths(machine);
  // For reading too: otherwise the open fails, or waits, until the program has opened it.
  return ifThere(() => openSync(gate, constants.O_RDWR | constants.O_NONBLOCK), undefined);
}

/**
 * Sets up a container's namespaces now, and again whenever its system reboots, until it has exited. An init system starts meanwhile; any
 * other program waits at its gate.
 *
 * @param recovered whether an earlier plugin process has started it, and set it up
 * @returns a promise for the first time
 */
export async function followInsideSetup(
  container: Container,
  setup: InsideSetup,
  { recovered = false, log }: { readonly recovered?: boolean; readonly log: Logger },
): Promise<void> {
  if (setup.sysctls.length === 0) return;
  const { machine } = container.ref;
  const stop = container.onRestart(() => {
    setUpInside(container, setup).catch((error: unknown) => {
      log.warn("cannot set up a container that has rebooted", { machine, error: errorText(error) });
    });
  });
  container.exit.then(stop);
  if (recovered) return;
  const gate = openGate(machine);
  // Not before: a byte that is not read yet is lost with the last writer.
  if (gate !== undefined) container.exit.then(() => closeSync(gate));
  await setUpInside(container, setup);
  if (gate !== undefined) writeSync(gate, "\n");
}

/** @throws ConfigError for a setting that the kernel does not have or a value that it refuses; LaunchError */
async function setUpInside(container: Container, { sysctls, namespaces }: InsideSetup): Promise<void> {
  const leader = await namespacedLeader(container, namespaces);
  // The container has ended: its exit says why.
  if (leader === undefined) return;
  const refused = await setSysctls(leader, sysctls).catch((error: unknown) => {
    throw new LaunchError(
      `Cannot set the kernel settings of container ${container.ref.machine}: ${errorText(error)}.`,
      {
        recoverable: true,
        cause: error,
      },
    );
  });
  const [problem] = refused;
  if (problem !== undefined) throw new ConfigError(refusalOf(problem.sysctl, problem.errno));
}

/** Why a setting could not be made, as a sentence. */
export function refusalOf({ name, value }: Pick<SysctlValue, "name" | "value">, errno: number): string {
  const [code, meaning] = errnoEntry(errno);
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "the kernel of this client has no such setting in a container",
    EINVAL: "the kernel refuses this value",
    ERANGE: "the kernel refuses this value",
    EACCES: "it can be read only in a container",
    EPERM: "it can be read only in a container",
  };
  return `Option sysctl[${JSON.stringify(name)}] = ${JSON.stringify(value)} cannot be set: ${reasons[code] ?? `${code}: ${meaning}`}.`;
}

/** The container's PID 1 once it has all its namespaces, and users in them; undefined if the container has ended. */
function namespacedLeader(container: Container, namespaces: number): Promise<ProcessIdentity | undefined> {
  const main = container.mainPid();
  if (main === undefined) return Promise.resolve(undefined);
  const search = new ContainerSearch(main, container.ref.mode);
  const complete = () => {
    const leader = search.leader();
    if (leader === undefined) return undefined;
    const own = ifThere(() => foreignNamespaces(leader.pid), 0);
    const ready = (own & namespaces) === namespaces && ((own & CLONE_NEW.user) === 0 || hasUserIds(leader));
    return ready ? leader : undefined;
  };
  return waitForProcess(main, complete, START_MS);
}
