import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Where drop-ins of units that live until the next boot belong (systemd.unit(5)). */
const runtimeUnits = "/run/systemd/system";

/** The directory of a unit's drop-ins. */
export function dropInDirectory(unit: string): string {
  return join(runtimeUnits, `${unit}.d`);
}

/**
 * Unit properties as the text of a drop-in file: D-Bus would need each property's type, unit files take text.
 * Names and values were checked before (config/policy.ts); a "%" would be expanded, so it is doubled.
 */
export function dropInText(properties: Readonly<Record<string, string>>): string {
  const lines = Object.entries(properties).map(([name, value]) => `${name}=${value.replaceAll("%", "%%")}\n`);
  return `[Service]\n${lines.join("")}`;
}

/** Writes a unit's drop-in before the unit exists; removeDropIn() removes it again. */
export async function writeDropIn(unit: string, properties: Readonly<Record<string, string>>): Promise<void> {
  if (Object.keys(properties).length === 0) return;
  await mkdir(dropInDirectory(unit), { recursive: true, mode: 0o700 });
  await writeFile(join(dropInDirectory(unit), "50-nomad.conf"), dropInText(properties), { mode: 0o600 });
}

/** Removes a unit's drop-in, if it has one. */
export function removeDropIn(unit: string): Promise<void> {
  return rm(dropInDirectory(unit), { recursive: true, force: true });
}
