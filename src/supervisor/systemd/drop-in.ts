import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Where drop-ins of units that live until the next boot belong (systemd.unit(5)). */
const runtimeUnits = "/run/systemd/system";

/** What a unit's drop-in says. */
export interface DropIn {
  /** argv of the unit's command; the first element is an absolute path. */
  readonly command: readonly string[];
  /** Further properties by name. Names and values were checked before (config/policy.ts). */
  readonly properties: Readonly<Record<string, string>>;
}

/** The directory of a unit's drop-ins. */
export function dropInDirectory(unit: string): string {
  return join(runtimeUnits, `${unit}.d`);
}

/**
 * A unit's command and properties as the text of a drop-in file. Properties are there because D-Bus would need each one's
 * type, where unit files take text. The command is there because systemd writes what it is given over D-Bus to a file of its
 * own, in a way that differs between versions, and reads that file at every daemon-reload: 252 writes ExecStartEx under
 * this name, which it does not read, so that the unit has no command and is stopped; it writes ExecStart without regard to "$".
 * A drop-in is the same text at the first start and at every later one.
 */
export function dropInText({ command, properties }: DropIn): string {
  const lines = Object.entries(properties).map(([name, value]) => `${name}=${escapeSpecifiers(value)}\n`);
  return `[Service]\nExecStart=${commandLine(command)}\n${lines.join("")}`;
}

/**
 * An argument vector as the value of ExecStart= (systemd.service(5), "Command lines"): ":" in front keeps systemd from
 * expanding variables, so that "$" is a plain character.
 */
export function commandLine(command: readonly string[]): string {
  return `:${command.map(quoteWord).join(" ")}`;
}

/** One word in double quotes, with C escapes for what would end the line, the quotes, or the file's being valid UTF-8. */
function quoteWord(word: string): string {
  const escaped = word
    .replace(/["\\]/g, "\\$&")
    // systemd takes no line in which there are noncharacters, which are legal UTF-8.
    .replace(/[\p{Cc}\p{Noncharacter_Code_Point}]/gu, (character) =>
      Array.from(Buffer.from(character), (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join(""),
    );
  return `"${escapeSpecifiers(escaped)}"`;
}

/** "%" begins a specifier (systemd.unit(5)); doubled it is itself. */
function escapeSpecifiers(text: string): string {
  return text.replaceAll("%", "%%");
}

/**
 * Writes a unit's drop-in before the unit exists; removeDropIn() removes it again. Its directory is root's alone, not the
 * file: systemd complains in the journal, at each reload, of a file that not everybody may read.
 */
export async function writeDropIn(unit: string, content: DropIn): Promise<void> {
  await mkdir(dropInDirectory(unit), { recursive: true, mode: 0o700 });
  await writeFile(join(dropInDirectory(unit), "50-nomad.conf"), dropInText(content), { mode: 0o644 });
}

/** Removes a unit's drop-in, if it has one. */
export function removeDropIn(unit: string): Promise<void> {
  return rm(dropInDirectory(unit), { recursive: true, force: true });
}
