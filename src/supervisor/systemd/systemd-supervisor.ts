/**
 * The supervisor for hosts whose PID 1 is systemd. A container is a *transient unit*, nomad-nspawn-MACHINE.service in a slice: made
 * over D-Bus, without a unit file, gone after a reboot. Its command and the operator's properties are in a *drop-in* below
 * /run/systemd/system, which is written before the unit exists and removed after it. With RemainAfterExit= the unit stays when its
 * process has ended, and is the record of the exit until the task is destroyed.
 *
 * unit-properties.ts has the unit's properties, unit-state.ts decides from PID 1's property changes whether it ended or restarts, and
 * exit-details.ts adds what only the journal has: systemd-nspawn's error messages, and whether memory ran out.
 */

import { closeSync } from "node:fs";
import { errorText } from "../../lib/errors";
import { readIfThere } from "../../lib/files";
import type { Logger } from "../../lib/logger";
import { bootId } from "../../linux/proc";
import { hasLeftovers, removeLeftovers } from "../../nspawn/leftovers";
import type { StartNotice } from "../../nspawn/start-notice";
import { DbusError } from "../../systemd/dbus";
import { SystemdManager } from "../../systemd/manager";
import { openLog } from "../log-file";
import {
  type Container,
  type ContainerRef,
  type ContainerView,
  LaunchError,
  type LaunchSpec,
  NotSupervisedError,
  type Supervisor,
} from "../supervisor";
import { hasCopies, removeCopies, startCopies } from "./log-copy";
import { readUnit } from "./read-unit";
import { SystemdUnit } from "./unit";
import { hasDropIn, removeDropIn, serviceOf, unitName, unitProperties, writeDropIn } from "./unit-properties";
import { awaitsRestart, hasEnded } from "./unit-state";

/** Errors of StartTransientUnit that are caused by the request; all others may be transient. */
const PERMANENT_ERRORS = [
  "org.freedesktop.DBus.Error.InvalidArgs",
  "org.freedesktop.DBus.Error.PropertyReadOnly",
  "org.freedesktop.DBus.Error.UnknownProperty",
  "org.freedesktop.systemd1.BadUnitSetting",
];

/** The unit was not removed, although its drop-in was: by hand, or because systemd loaded it again. */
const UNIT_EXISTS = "org.freedesktop.systemd1.UnitExists";

/**
 * The supervisor for hosts whose PID 1 is systemd: each container is a transient service of PID 1, which keeps running and
 * keeps its exit status independent of this plugin. Before the first call it neither connects nor changes anything.
 */
export class SystemdSupervisor implements Supervisor {
  readonly name = "systemd";
  readonly #log: Logger;
  readonly #manager: SystemdManager;

  constructor(log: Logger) {
    this.#log = log;
    this.#manager = new SystemdManager(log);
  }

  async launch(spec: LaunchSpec, notice?: StartNotice): Promise<Container> {
    const { machine, mode } = spec;
    const ref: ContainerRef = { supervisor: "systemd", machine, mode, bootId: bootId() };
    try {
      // Remove what an interrupted start of the same task left: no handle of it was ever returned.
      if (hasDropIn(unitName(machine)) || hasCopies(machine) || hasLeftovers(machine)) await this.#discard(ref);
      await this.#start(spec).catch(async (error: unknown) => {
        if (!isOf(error, UNIT_EXISTS)) throw error;
        await this.#discard(ref);
        await this.#start(spec);
      });
      return await SystemdUnit.started(this.#manager, ref, this.#log, notice);
    } catch (error) {
      await this.#discard(ref).catch((left: unknown) => {
        this.#log.warn("cleanup after a failed start is incomplete", { machine, error: errorText(left) });
      });
      throw launchError(error);
    }
  }

  async attach(ref: ContainerRef): Promise<Container> {
    if (ref.bootId !== bootId()) {
      throw new NotSupervisedError(`The host was rebooted since machine ${ref.machine} was started.`);
    }
    return this.#attach(ref);
  }

  discard(machine: string): Promise<void> {
    return this.#discard({ supervisor: "systemd", machine, mode: "pid1", bootId: bootId() });
  }

  async view(machine: string): Promise<ContainerView | undefined> {
    const state = await readUnit(this.#manager, unitName(machine));
    if (state.loadState !== "loaded") return undefined;
    return {
      supervisor: this.name,
      mainPid: state.mainPid === 0 ? undefined : state.mainPid,
      exited: hasEnded(state) && !awaitsRestart(state),
      startedAt: Math.floor(state.startedAt / 1000),
    };
  }

  close(): Promise<void> {
    return this.#manager.close();
  }

  #attach(ref: ContainerRef): Promise<Container> {
    return SystemdUnit.attach(this.#manager, ref, this.#log);
  }

  async #start(spec: LaunchSpec): Promise<void> {
    const unit = unitName(spec.machine);
    writeDropIn(unit, { command: spec.argv, properties: spec.properties, identity: spec.identity });
    const outputs: number[] = [];
    try {
      if (spec.output === "both") outputs.push(...(await startCopies(this.#manager, spec)));
      else if (spec.output === undefined) {
        for (const path of [spec.stdoutPath, spec.stderrPath]) outputs.push(openLog(path, spec.logOwner));
      }
      const agent = serviceOf(readIfThere("/proc/self/cgroup") ?? "");
      const properties = unitProperties(spec, { systemd: await this.#manager.version(), agent });
      const result = await this.#manager.startTransientUnit(unit, properties, outputs);
      if (result !== "done" && result !== "lost") {
        throw new LaunchError(
          `systemd failed to start ${unit} (${result}): see "systemctl status ${unit}" and "journalctl -u ${unit}".`,
          { recoverable: true },
        );
      }
    } finally {
      for (const fd of outputs) closeSync(fd);
    }
  }

  /** Removes a container for which no handle exists, or its leftovers if its unit is already gone. */
  async #discard(ref: ContainerRef): Promise<void> {
    try {
      const left = await this.#attach(ref);
      this.#log.warn("removing container of an interrupted start", { machine: ref.machine });
      await left.release();
    } catch (error) {
      if (!(error instanceof NotSupervisedError)) throw error;
      await removeCopies(this.#manager, ref.machine);
      await removeDropIn(unitName(ref.machine));
      await removeLeftovers(ref.machine);
    }
  }
}

function isOf(error: unknown, ...names: readonly string[]): boolean {
  return error instanceof DbusError && names.includes(error.dbusName);
}

function launchError(error: unknown): Error {
  if (error instanceof LaunchError) return error;
  const permanent = isOf(error, ...PERMANENT_ERRORS);
  return new LaunchError(errorText(error), { recoverable: !permanent, cause: error });
}
