import { existsSync } from "node:fs";

/** Where the D-Bus activation of systemd-importd is installed; it starts on the first call. */
const activationFile = "dbus-1/system-services/org.freedesktop.import1.service";
const dataDirectories = ["/usr/share", "/usr/local/share", "/run/current-system/sw/share"];

/** The system bus. */
export const SYSTEM_BUS = "/run/dbus/system_bus_socket";

/** Whether systemd-importd can be asked to download images: it is installed, and the bus that starts it listens. */
export function importdAvailable(): boolean {
  return existsSync(SYSTEM_BUS) && dataDirectories.some((directory) => existsSync(`${directory}/${activationFile}`));
}
