import { existsSync } from "node:fs";

/** Where systemd-importd's D-Bus activation file is installed; the service starts on the first call. */
const activationFile = "dbus-1/system-services/org.freedesktop.import1.service";
const dataDirectories = ["/usr/share", "/usr/local/share", "/run/current-system/sw/share"];

/** The system bus. */
export const SYSTEM_BUS = "/run/dbus/system_bus_socket";

/** Whether systemd-importd can download images: it is installed, and the bus that starts it is listening. */
export function importdAvailable(): boolean {
  return existsSync(SYSTEM_BUS) && dataDirectories.some((directory) => existsSync(`${directory}/${activationFile}`));
}
