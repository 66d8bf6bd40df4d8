import { lstatSync, statSync } from "node:fs";
import { isMissing } from "./errno";

/** What of systemd a transient unit needs. */
export interface SystemdPresence {
  /** systemd is PID 1: the rule of sd_booted(3), /run/systemd/system is a directory and no symlink. */
  readonly booted: boolean;
  /** The system bus listens. */
  readonly bus: boolean;
}

/** Looks whether systemd runs this host and can be asked over D-Bus. */
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
