import { closeSync } from "node:fs";
import { bootId } from "../../host/boot-id";
import { errorText } from "../../host/error-text";
import type { Logger } from "../../plugin/logger";
import { openLog } from "../log-file";
import { removeRemains } from "../remains";
import {
  LaunchError,
  type LaunchSpec,
  NotSupervisedError,
  type Supervised,
  type SupervisedRef,
  type Supervisor,
} from "../supervisor";
import { removeDropIn, writeDropIn } from "./drop-in";
import { ManagerError, SystemdManager } from "./manager";
import { SystemdUnit } from "./unit";
import { unitName, unitProperties } from "./unit-properties";

/** systemd-nspawn's own messages go there, so that stdout and stderr are the container's alone. */
const nspawnEnvironment = { SYSTEMD_LOG_TARGET: "journal" };
/** Errors of StartTransientUnit that lie in what was asked for; all others may pass. */
const permanentErrors = [
  "org.freedesktop.DBus.Error.InvalidArgs",
  "org.freedesktop.DBus.Error.PropertyReadOnly",
  "org.freedesktop.DBus.Error.UnknownProperty",
  "org.freedesktop.systemd1.BadUnitSetting",
];

/**
 * The supervisor for hosts whose PID 1 is systemd: each container is a transient service of PID 1, which runs on and keeps
 * its exit status whatever becomes of this plugin. Nothing is connected or touched before the first call.
 */
export function createSystemdSupervisor(log: Logger): Supervisor {
  const manager = new SystemdManager(log);

  const attachUnit = (ref: SupervisedRef) => SystemdUnit.attach(manager, ref, log);

  const start = async (spec: LaunchSpec): Promise<void> => {
    const unit = unitName(spec.machine);
    const withJournal = { ...spec, environment: { ...nspawnEnvironment, ...spec.environment } };
    const fifos: number[] = [];
    try {
      for (const path of [spec.stdoutPath, spec.stderrPath]) fifos.push(openLog(path, spec.logOwner));
      const properties = unitProperties(withJournal, await manager.version());
      const result = await manager.startTransientUnit(unit, properties, fifos);
      if (result !== "done" && result !== "lost") {
        throw new LaunchError(
          `systemd could not start ${unit} (${result}): see "systemctl status ${unit}" and "journalctl -u ${unit}".`,
          { recoverable: true },
        );
      }
    } finally {
      for (const fd of fifos) closeSync(fd);
    }
  };

  const launch = async (spec: LaunchSpec): Promise<Supervised> => {
    const ref: SupervisedRef = { supervisor: "systemd", machine: spec.machine, mode: spec.mode, bootId: bootId() };
    try {
      // What an interrupted start of this very task left: no handle of it was ever given out.
      await discard(ref);
      await writeDropIn(unitName(spec.machine), { command: spec.argv, properties: spec.properties });
      await start(spec);
      return await attachUnit(ref);
    } catch (error) {
      await discard(ref);
      throw launchError(error);
    }
  };

  /** Removes a container of which nobody will hear any more, and what is left where its unit is gone already. */
  const discard = async (ref: SupervisedRef): Promise<void> => {
    try {
      const left = await attachUnit(ref);
      log.warn("removing what an interrupted start left", { machine: ref.machine });
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
  const permanent = error instanceof ManagerError && permanentErrors.includes(error.dbusName);
  return new LaunchError(errorText(error), { recoverable: !permanent, cause: error });
}
