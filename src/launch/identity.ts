import { hasMachineId, MACHINE_ID_PATH } from "../nspawn/machine-id";
import type { Rootfs } from "../rootfs/rootfs";
import type { LaunchPlan } from "./plan";

/** It writes a machine ID that is mounted from memory into the image below it, as after a first boot with a read-only /etc. */
const COMMIT_MACHINE_ID = "systemd-machine-id-commit.service";

/** The files that give a container its identity, as writeMachineFiles() gets them. */
interface IdentityTexts {
  /** Content for /etc/machine-id; undefined if nothing is mounted there. */
  readonly machineId: string | undefined;
  /** Present if units have to be masked. */
  readonly mask: "" | undefined;
}

/** What is mounted over the image's machine ID; --uuid= suffices where it has none, and lets systemd see a first boot. */
export function identityTexts(
  plan: Pick<LaunchPlan, "machineId" | "taken" | "mode">,
  rootfs: Pick<Rootfs, "machineId">,
): IdentityTexts {
  const { machineId: id, taken } = plan;
  const free = !taken.includes(MACHINE_ID_PATH) && !taken.includes("/etc");
  const machineId = id !== undefined && free && hasMachineId(rootfs.machineId) ? `${id}\n` : undefined;
  return { machineId, mask: maskedUnits(plan, machineId !== undefined).length > 0 ? "" : undefined };
}

/**
 * The units of a booted system that must not start.
 *
 * @param mounted whether the driver's file is mounted at /etc/machine-id
 */
export function maskedUnits({ mode }: Pick<LaunchPlan, "mode">, mounted: boolean): readonly string[] {
  return mode === "boot" && mounted ? [COMMIT_MACHINE_ID] : [];
}
