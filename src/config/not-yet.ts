import type { TaskOptions } from "./options";

/**
 * Options that are validated but not carried out yet. A name goes with the issue that brings it ("Images", "Networking");
 * the file goes with the last.
 */
export const NOT_YET = ["image_download", "auth"] as const satisfies (keyof TaskOptions)[];

/** The sentence for a config that uses such an option, or undefined. */
export function notYetSupported(options: TaskOptions): string | undefined {
  const asked = NOT_YET.find((name) => Object.keys(options[name] ?? {}).length > 0);
  return asked === undefined
    ? undefined
    : `Option ${asked} is not supported by this version of the driver yet: remove it.`;
}
