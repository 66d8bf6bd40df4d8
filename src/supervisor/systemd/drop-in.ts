import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Directory for drop-ins of transient units (systemd.unit(5)). */
const runtimeUnits = "/run/systemd/system";

/** The contents of a unit's drop-in. */
export interface DropIn {
  /** argv of the unit's command; the first element is an absolute path. */
  readonly command: readonly string[];
  /** Additional properties by name; names and values are already validated (config/policy.ts). */
  readonly properties: Readonly<Record<string, string>>;
}

/** The directory of a unit's drop-ins. */
export function dropInDirectory(unit: string): string {
  return join(runtimeUnits, `${unit}.d`);
}

/**
 * A unit's command and properties as the text of a drop-in file. Properties are in the drop-in because D-Bus would need the type of
 * each one, while unit files accept text. The command is in it because systemd writes the command that it gets over D-Bus to its own
 * file, in a way that differs between versions, and reads that file at every daemon-reload: 252 writes ExecStartEx under
 * this name, which it does not read, so that the unit has no command and is stopped; and it does not escape "$" in ExecStart.
 * A drop-in is the same text at the first start and at every later one.
 */
export function dropInText({ command, properties }: DropIn): string {
  const lines = Object.entries(properties).map(([name, value]) => `${name}=${escapeSpecifiers(value)}\n`);
  return `[Service]\nExecStart=${commandLine(command)}\n${lines.join("")}`;
}

/**
 * An argument vector as the value of ExecStart= (systemd.service(5), "Command lines"): the prefix ":" disables the
 * expansion of variables, so "$" is a plain character.
 */
export function commandLine(command: readonly string[]): string {
  return `:${command.map(quoteWord).join(" ")}`;
}

/** One word in double quotes, with C escapes for what would end the line or the quotes, or make the file invalid UTF-8. */
function quoteWord(word: string): string {
  const escaped = word
    .replace(/["\\]/g, "\\$&")
    // systemd rejects lines with noncharacters, which are legal UTF-8.
    .replace(/[\p{Cc}\p{Noncharacter_Code_Point}]/gu, (character) =>
      Array.from(Buffer.from(character), (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join(""),
    );
  return `"${escapeSpecifiers(escaped)}"`;
}

/** "%" begins a specifier (systemd.unit(5)); "%%" is a literal "%". */
function escapeSpecifiers(text: string): string {
  return text.replaceAll("%", "%%");
}

/**
 * Writes a unit's drop-in before the unit exists; removeDropIn() removes it again. Its directory is accessible only to
 * root, but not the file: at each reload systemd logs a warning about a file that is not world-readable.
 */
export async function writeDropIn(unit: string, content: DropIn): Promise<void> {
  await mkdir(dropInDirectory(unit), { recursive: true, mode: 0o700 });
  await writeFile(join(dropInDirectory(unit), "50-nomad.conf"), dropInText(content), { mode: 0o644 });
}

/** Removes a unit's drop-in, if it has one. */
export function removeDropIn(unit: string): Promise<void> {
  return rm(dropInDirectory(unit), { recursive: true, force: true });
}
