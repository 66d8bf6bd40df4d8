import { hasMachineId, MACHINE_ID_PATH } from "../nspawn/machine-id";
import type { Rootfs } from "../rootfs/rootfs";
import type { LaunchPlan } from "./plan";

/** It writes a machine ID that is mounted from memory into the image below it, as after a first boot with a read-only /etc. */
const COMMIT_MACHINE_ID = "systemd-machine-id-commit.service";

/** A login prompt on the console, which in a container is the task's log: the generator of systemd starts it in every container. */
const CONSOLE_GETTY = "console-getty.service";

/** The files that give a container its identity, as writeMachineFiles() gets them. */
interface IdentityTexts {
  /** Content for /etc/machine-id; undefined if nothing is mounted there. */
  readonly machineId: string | undefined;
  /** Present if units have to be masked. */
  readonly mask: "" | undefined;
}

/** The parts of a plan that decide which units of a system start. */
interface SystemPlan {
  readonly mode: LaunchPlan["mode"];
  readonly options: Pick<LaunchPlan["options"], "console">;
}

/** What is mounted over the image's machine ID; --uuid= suffices where it has none, and lets systemd see a first boot. */
export function identityTexts(
  plan: SystemPlan & Pick<LaunchPlan, "machineId" | "taken">,
  rootfs: Pick<Rootfs, "machineId">,
): IdentityTexts {
  const { machineId: id, taken } = plan;
  const free = !taken.includes(MACHINE_ID_PATH) && !taken.includes("/etc");
  const machineId = id !== undefined && free && hasMachineId(rootfs.machineId) ? `${id}\n` : undefined;
  return { machineId, mask: maskedUnits(plan, machineId !== undefined).length > 0 ? "" : undefined };
}

/** The units of a booted system that must not start. @param mounted whether the driver's file is mounted at /etc/machine-id */
export function maskedUnits({ mode, options }: SystemPlan, mounted: boolean): readonly string[] {
  if (mode !== "boot") return [];
  return [...(mounted ? [COMMIT_MACHINE_ID] : []), ...(options.console === undefined ? [CONSOLE_GETTY] : [])];
}
