import { existsSync } from "node:fs";

/** Where the D-Bus activation of systemd-machined is installed; it starts on the first call. */
const activationFile = "dbus-1/system-services/org.freedesktop.machine1.service";
const dataDirectories = ["/usr/share", "/usr/local/share", "/run/current-system/sw/share"];

/**
 * Whether containers can be registered with systemd-machined (for machinectl): it is installed, and the system bus that
 * activates it listens. systemd-nspawn fails to start a container that it shall register but cannot.
 */
export function machinedAvailable(): boolean {
  return (
    existsSync("/run/dbus/system_bus_socket") &&
    dataDirectories.some((directory) => existsSync(`${directory}/${activationFile}`))
  );
}
