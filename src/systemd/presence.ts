/**
 * Bindings to systemd: PID 1 over D-Bus (manager.ts, on the transport of dbus-socket.ts, which can pass descriptors), the journal, and
 * the state of systemd-networkd. What a container's unit looks like is not decided here but in supervisor/systemd/.
 *
 * Terms: the *manager* is PID 1 with its D-Bus interface; a *unit* is what it manages, here always a transient service; a *job* is a
 * queued start or stop of a unit (not a job of Nomad).
 *
 * This file finds out which parts of systemd this host has. Each is optional for the driver: a host may have another PID 1, or systemd
 * without systemd-machined, systemd-importd or systemd-networkd.
 */

import { existsSync, lstatSync, readdirSync, statSync } from "node:fs";
import { ifThere } from "../lib/errors";

/** Where D-Bus activation files are installed; the services start on their first call. */
const ACTIVATION_DIRECTORIES = ["/usr/share", "/usr/local/share", "/run/current-system/sw/share"];

export const SYSTEM_BUS = "/run/dbus/system_bus_socket";

/** Whether a service of the system bus can be called: it is installed, and the bus that activates it listens. */
function canBeActivated(service: string): boolean {
  const file = `dbus-1/system-services/${service}.service`;
  return existsSync(SYSTEM_BUS) && ACTIVATION_DIRECTORIES.some((directory) => existsSync(`${directory}/${file}`));
}

/** Whether systemd-importd can be asked to download images. */
export function importdAvailable(): boolean {
  return canBeActivated("org.freedesktop.import1");
}

/**
 * Whether containers can be registered with systemd-machined (for machinectl). systemd-nspawn fails to start a container that it has to
 * register but cannot.
 */
export function machinedAvailable(): boolean {
  return canBeActivated("org.freedesktop.machine1");
}

/** systemd-machined's state files: one for each machine, and a link for each unit of one. */
const MACHINES = "/run/systemd/machines";
const UNIT_LINK = "unit:";

/**
 * How many machines may be registered for another one to be. A systemd-nspawn that registers its container keeps a connection to the system
 * bus, and dbus-daemon allows 256 of root (max_connections_per_user, dbus-daemon(1)): further ones fail, and with them their containers
 * (measured: 253 ran, then "Failed to register machine: No buffer space available"). The rest is for containers that are starting, and for
 * other programs.
 */
const MOST_REGISTERED = 200;

/** Whether a container that starts now should be registered with systemd-machined. */
export function shouldRegister(): boolean {
  return machinedAvailable() && countMachines(MACHINES) < MOST_REGISTERED;
}

/** The number of machines that systemd-machined knows. */
export function countMachines(directory: string): number {
  return ifThere(() => readdirSync(directory), []).filter((name) => !name.startsWith(UNIT_LINK)).length;
}

interface SystemdPresence {
  /** systemd is PID 1: by the rule of sd_booted(3), /run/systemd/system is a directory and not a symlink. */
  readonly booted: boolean;
  /** The system bus is listening. */
  readonly bus: boolean;
}

/** Checks whether systemd runs this host and is reachable over D-Bus. */
export function systemdPresence(run = "/run"): SystemdPresence {
  return {
    booted: ifThere(() => lstatSync(`${run}/systemd/system`).isDirectory(), false),
    bus: ifThere(() => statSync(`${run}/dbus/system_bus_socket`).isSocket(), false),
  };
}
