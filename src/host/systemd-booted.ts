import { lstatSync, statSync } from "node:fs";
import { isMissing } from "./errno";

/** The parts of systemd that a transient unit needs. */
export interface SystemdPresence {
  /** systemd is PID 1: by the rule of sd_booted(3), /run/systemd/system is a directory and not a symlink. */
  readonly booted: boolean;
  /** The system bus is listening. */
  readonly bus: boolean;
}

/** Checks whether systemd runs this host and is reachable over D-Bus. */
export function systemdPresence(run = "/run"): SystemdPresence {
  return {
    booted: holds(() => lstatSync(`${run}/systemd/system`).isDirectory()),
    bus: holds(() => statSync(`${run}/dbus/system_bus_socket`).isSocket()),
  };
}

function holds(look: () => boolean): boolean {
  try {
    return look();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}
