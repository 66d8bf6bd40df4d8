import { closeSync, constants, openSync, writeSync } from "node:fs";
import { type SysctlValue, sysctlsOf } from "../config/derived";
import type { TaskOptions } from "../config/task/options";
import { foreignNamespaces } from "../exec/container";
import { hasUserIds, setSysctls } from "../exec/sysctls";
import { ConfigError, errorText, ifThere } from "../lib/errors";
import type { Logger } from "../lib/logger";
import { CLONE_NEW } from "../linux/constants";
import { errnoEntry } from "../linux/ffi";
import { isAlive, type ProcessIdentity } from "../linux/proc";
import { machinePaths } from "../machine/files";
import { hasInterface, type InterfaceSetup, setUpInterface } from "../network/interface";
import { grantNetworkRights } from "../network/namespace";
import type { NetworkPlan } from "../network/network";
import { ContainerSearch, waitForProcess } from "../nspawn/processes";
import { type Container, LaunchError } from "../supervisor/supervisor";
import { HOST_LINK } from "../values/link-names";

/** Preparing a container's root, which comes before its namespaces, can take long. */
const START_MS = 3_600_000;

/** What the driver sets in a container's namespaces from outside, at each start of the container. */
export interface InsideSetup {
  readonly sysctls: readonly SysctlValue[];
  readonly interfaces: readonly InterfaceSetup[];
  /** The namespaces that the container has of its own, as CLONE_NEW* flags. */
  readonly namespaces: number;
}

/** What the options of a task ask for. */
export function insideSetup(options: Pick<TaskOptions, "sysctl" | "boot">, network: NetworkPlan): InsideSetup {
  return {
    sysctls: sysctlsOf(options),
    interfaces: interfacesOf(network, options.boot),
    namespaces: CLONE_NEW.ipc | (network.kind === "host" ? 0 : CLONE_NEW.net),
  };
}

/** Whether anything is set from outside, so that a program has to wait for it. */
export function needsSetup({ sysctls, interfaces }: InsideSetup): boolean {
  return sysctls.length + interfaces.length > 0;
}

/**
 * The interfaces in a container that the driver sets up here: those that network/private does not care for, and any with a hardware
 * address of the job's.
 */
function interfacesOf(network: NetworkPlan, boot: boolean): InterfaceSetup[] {
  if (network.kind === "lan") {
    const { via, interfaces, own = NOTHING } = network;
    const up = !boot || own.addresses.length > 0;
    if (via !== "interface") return [{ kind: via, ...own, up }];
    // The addresses are those of the first.
    return interfaces.map((name, index) => ({ name, ...(index === 0 ? own : NOTHING), up: index === 0 ? up : !boot }));
  }
  if (network.kind !== "private" || network.own === undefined) return [];
  const { own, link } = network;
  if (link === "bridge") return [{ name: HOST_LINK, ...own, up: own.addresses.length > 0 }];
  return own.mac === undefined ? [] : [{ name: HOST_LINK, ...NOTHING, mac: own.mac, up: false }];
}

const NOTHING = { addresses: [], gateways: [] } as const;

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
  if (!needsSetup(setup)) return;
  const { machine } = container.ref;
  const stop = container.onRestart(() => {
    setUpInside(container, setup).catch((error: unknown) => {
      log.warn("cannot set up a container that has rebooted", { machine, error: errorText(error) });
    });
  });
  container.exit.then(stop);
  if (recovered) return;
  const gate = openGate(machine);
  let ended = false;
  container.exit.then(() => {
    ended = true;
    // Not before: a byte that is not read yet is lost with the last writer.
    if (gate !== undefined) closeSync(gate);
  });
  await setUpInside(container, setup);
  if (gate !== undefined && !ended) writeSync(gate, "\n");
}

/** @throws ConfigError for a setting that the kernel does not have or a value that it refuses; LaunchError */
async function setUpInside(container: Container, setup: InsideSetup): Promise<void> {
  const leader = await namespacedLeader(container, setup);
  // The container has ended: its exit says why.
  if (leader === undefined) return;
  const failed = (what: string) => (error: unknown) => {
    const text = `Cannot set ${what} of container ${container.ref.machine}: ${errorText(error)}.`;
    throw new LaunchError(text, { recoverable: true, cause: error });
  };
  await setUpInterfaces(leader, setup.interfaces).catch(failed("the addresses"));
  const refused = await setSysctls(leader, setup.sysctls).catch(failed("the kernel settings"));
  const [problem] = refused;
  if (problem !== undefined) throw new ConfigError(refusalOf(problem.sysctl, problem.errno));
}

async function setUpInterfaces(leader: ProcessIdentity, interfaces: readonly InterfaceSetup[]): Promise<void> {
  if (interfaces.length === 0) return;
  using open = new DisposableStack();
  const fd = open.adopt(openSync(`/proc/${leader.pid}/ns/net`, "r"), closeSync);
  if (!isAlive(leader)) throw new Error("the container has ended");
  const namespace = `/proc/self/fd/${fd}`;
  for (const each of interfaces) setUpInterface(namespace, each);
  grantNetworkRights(namespace);
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

/** The container's PID 1 once it has all its namespaces, users and interfaces; undefined if the container has ended. */
function namespacedLeader(container: Container, setup: InsideSetup): Promise<ProcessIdentity | undefined> {
  const main = container.mainPid();
  if (main === undefined) return Promise.resolve(undefined);
  const search = new ContainerSearch(main, container.ref.mode);
  const complete = () => {
    const leader = search.leader();
    return leader !== undefined && ifThere(() => isComplete(leader, setup), false) ? leader : undefined;
  };
  return waitForProcess(main, complete, START_MS);
}

function isComplete(leader: ProcessIdentity, { namespaces, interfaces }: InsideSetup): boolean {
  const own = foreignNamespaces(leader.pid);
  if ((own & namespaces) !== namespaces) return false;
  if ((own & CLONE_NEW.user) !== 0 && !hasUserIds(leader)) return false;
  return interfaces.every((each) => hasInterface(`/proc/${leader.pid}/ns/net`, each));
}
