import { existsSync } from "node:fs";

/** Where systemd-machined's D-Bus activation file is installed; the service starts on the first call. */
const activationFile = "dbus-1/system-services/org.freedesktop.machine1.service";
const dataDirectories = ["/usr/share", "/usr/local/share", "/run/current-system/sw/share"];

/**
 * Whether containers can be registered with systemd-machined (for machinectl): it is installed, and the system bus that
 * activates it is listening. systemd-nspawn fails to start a container that it is asked to register but cannot.
 */
export function machinedAvailable(): boolean {
  return (
    existsSync("/run/dbus/system_bus_socket") &&
    dataDirectories.some((directory) => existsSync(`${directory}/${activationFile}`))
  );
}
