/**
 * systemd's EnvironmentFile= format (env-file.c): within single quotes everything is literal, line ends included, and quoted
 * parts that follow each other make one value.
 */
export function environmentFile(environment: Readonly<Record<string, string>>): string {
  return Object.entries(environment)
    .map(([name, value]) => `${name}='${value.replaceAll("'", `'"'"'`)}'\n`)
    .join("");
}

/** Reads back what environmentFile() writes, for a supervisor that has no systemd to do it. */
export function parseEnvironmentFile(text: string): Record<string, string> {
  const entries: [string, string][] = [];
  const assignment = /([A-Za-z_][A-Za-z0-9_]*)=((?:'[^']*'|"'")*)\n/y;
  while (assignment.lastIndex < text.length) {
    const at = assignment.lastIndex;
    const match = assignment.exec(text);
    if (match === null) throw new Error(`The environment file cannot be read: no assignment at character ${at}.`);
    const [, name = "", quoted = ""] = match;
    entries.push([name, quoted.replace(/'([^']*)'|"(')"/g, "$1$2")]);
  }
  return Object.fromEntries(entries);
}
