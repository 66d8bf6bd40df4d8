import { existsSync } from "node:fs";

/** Where D-Bus activation files are installed; the services start on their first call. */
const ACTIVATION_DIRECTORIES = ["/usr/share", "/usr/local/share", "/run/current-system/sw/share"];

/** The system bus. */
export const SYSTEM_BUS = "/run/dbus/system_bus_socket";

/** Whether a service of the system bus can be called: it is installed, and the bus that activates it listens. */
export function canBeActivated(service: string): boolean {
  const file = `dbus-1/system-services/${service}.service`;
  return existsSync(SYSTEM_BUS) && ACTIVATION_DIRECTORIES.some((directory) => existsSync(`${directory}/${file}`));
}

/** Whether systemd-importd can be asked to download images. */
export function importdAvailable(): boolean {
  return canBeActivated("org.freedesktop.import1");
}
