import type { TaskOptions } from "./options";

/**
 * Options that are validated but not carried out yet, as a sentence, or undefined. Each line goes with the issue that
 * brings the option ("Images", "Networking"); the file goes with the last.
 */
export function notYetSupported(options: TaskOptions): string | undefined {
  const asked = [
    options.image_download === undefined ? undefined : "image_download",
    options.auth === undefined ? undefined : "auth",
    options.ports.length === 0 ? undefined : "ports",
    Object.keys(options.port_map).length === 0 ? undefined : "port_map",
  ].find((name) => name !== undefined);
  return asked === undefined
    ? undefined
    : `Option ${asked} is not supported by this version of the driver yet: remove it.`;
}
