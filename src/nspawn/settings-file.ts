/**
 * systemd-nspawn's settings file of a machine (systemd.nspawn(5)). One in this directory is trusted, and keeps
 * systemd-nspawn from looking for one beside the image.
 */
export const SETTINGS_DIRECTORY = "/run/systemd/nspawn";

/** Where the settings file of a machine lies. */
export function settingsFilePath(machine: string): string {
  return `${SETTINGS_DIRECTORY}/${machine}.nspawn`;
}

/**
 * True where a value can be written into a settings file. A line ends at a line feed or carriage return, quoted or not, and
 * there is no escape for either.
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
 * Quotes a word for config_parse_strv(): quotes end where they began, adjoining ones make one word, and a backslash is
 * nothing special (EXTRACT_UNQUOTE, EXTRACT_RETAIN_ESCAPE). The final quote also keeps a backslash at the end from
 * continuing the line.
 */
function quote(word: string): string {
  const parts = word.match(/[^"]+|"+/g) ?? [];
  return parts.map((part) => (part.startsWith('"') ? `'${part}'` : `"${part}"`)).join("");
}
