import { closeSync } from "node:fs";
import { errorText } from "../../lib/errors";
import type { Logger } from "../../lib/logger";
import { bootId } from "../../linux/proc";
import { removeRemains } from "../../nspawn/leftovers";
import { DbusError } from "../../systemd/dbus";
import { SystemdManager } from "../../systemd/manager";
import { openLog } from "../log-file";
import {
  type Container,
  type ContainerRef,
  LaunchError,
  type LaunchSpec,
  NotSupervisedError,
  type Supervisor,
} from "../supervisor";
import { SystemdUnit } from "./unit";
import { removeDropIn, unitName, unitProperties, writeDropIn } from "./unit-properties";

/** Errors of StartTransientUnit that lie in what was asked for; all others may pass. */
const permanentErrors = [
  "org.freedesktop.DBus.Error.InvalidArgs",
  "org.freedesktop.DBus.Error.PropertyReadOnly",
  "org.freedesktop.DBus.Error.UnknownProperty",
  "org.freedesktop.systemd1.BadUnitSetting",
];

/**
 * The supervisor for hosts whose PID 1 is systemd: each container is a transient service of PID 1, which keeps running and
 * keeps its exit status independent of this plugin. Before the first call it neither connects nor changes anything.
 */
export function createSystemdSupervisor(log: Logger): Supervisor {
  const manager = new SystemdManager(log);

  const attachUnit = (ref: ContainerRef) => SystemdUnit.attach(manager, ref, log);

  const start = async (spec: LaunchSpec): Promise<void> => {
    const unit = unitName(spec.machine);
    const fifos: number[] = [];
    try {
      for (const path of [spec.stdoutPath, spec.stderrPath]) fifos.push(openLog(path, spec.logOwner));
      const properties = unitProperties(spec, await manager.version());
      const result = await manager.startTransientUnit(unit, properties, fifos);
      if (result !== "done" && result !== "lost") {
        throw new LaunchError(
          `systemd failed to start ${unit} (${result}): see "systemctl status ${unit}" and "journalctl -u ${unit}".`,
          { recoverable: true },
        );
      }
    } finally {
      for (const fd of fifos) closeSync(fd);
    }
  };

  const launch = async (spec: LaunchSpec): Promise<Container> => {
    const ref: ContainerRef = { supervisor: "systemd", machine: spec.machine, mode: spec.mode, bootId: bootId() };
    try {
      // Remove what an interrupted start of the same task left: no handle of it was ever returned.
      await discard(ref);
      await writeDropIn(unitName(spec.machine), { command: spec.argv, properties: spec.properties });
      await start(spec);
      return await attachUnit(ref);
    } catch (error) {
      await discard(ref);
      throw launchError(error);
    }
  };

  /** Removes a container for which no handle exists, or its leftovers if its unit is already gone. */
  const discard = async (ref: ContainerRef): Promise<void> => {
    try {
      const left = await attachUnit(ref);
      log.warn("removing container of an interrupted start", { machine: ref.machine });
      await left.release();
    } catch (error) {
      if (!(error instanceof NotSupervisedError)) throw error;
      await removeDropIn(unitName(ref.machine));
      await removeRemains(ref.machine);
    }
  };

  return {
    name: "systemd",
    launch,
    attach: async (ref) => {
      if (ref.bootId !== bootId()) {
        throw new NotSupervisedError(`The host was rebooted since machine ${ref.machine} was started.`);
      }
      return attachUnit(ref);
    },
    discard: (machine) => discard({ supervisor: "systemd", machine, mode: "pid1", bootId: bootId() }),
    close: () => manager.close(),
  };
}

function launchError(error: unknown): Error {
  if (error instanceof LaunchError) return error;
  const permanent = error instanceof DbusError && permanentErrors.includes(error.dbusName);
  return new LaunchError(errorText(error), { recoverable: !permanent, cause: error });
}
