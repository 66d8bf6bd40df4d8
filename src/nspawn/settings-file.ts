/**
 * systemd-nspawn's settings file of a machine (systemd.nspawn(5)). A file in this directory is trusted, and keeps
 * systemd-nspawn from searching for one beside the image.
 */
export const SETTINGS_DIRECTORY = "/run/systemd/nspawn";

/** The path of a machine's settings file. */
export function settingsFilePath(machine: string): string {
  return `${SETTINGS_DIRECTORY}/${machine}.nspawn`;
}

/**
 * True if a value can be written into a settings file. A line ends at a line feed or carriage return, quoted or not, and
 * the format has no escape for either.
 */
export function fitsSettingsFile(value: string): boolean {
  return !/[\r\n]/.test(value);
}

/** The text of a settings file with these variables; each value must fit (fitsSettingsFile). */
export function settingsFile(environment: Readonly<Record<string, string>>): string {
  const lines = Object.entries(environment).map(([name, value]) => `Environment=${quote(`${name}=${value}`)}\n`);
  return `[Exec]\n${lines.join("")}`;
}

/**
 * Quotes a word for config_parse_strv(): adjacent quoted parts make one word, and a backslash is not
 * special (EXTRACT_UNQUOTE, EXTRACT_RETAIN_ESCAPE). The final quote also keeps a trailing backslash from
 * continuing the line.
 */
function quote(word: string): string {
  const parts = word.match(/[^"]+|"+/g) ?? [];
  return parts.map((part) => (part.startsWith('"') ? `'${part}'` : `"${part}"`)).join("");
}
