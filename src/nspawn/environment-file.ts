/**
 * systemd's EnvironmentFile= format (env-file.c): in single quotes everything is literal, including line breaks, and adjacent quoted
 * parts are joined to one value.
 */
export function environmentFile(environment: Readonly<Record<string, string>>): string {
  return Object.entries(environment)
    .map(([name, value]) => `${name}='${value.replaceAll("'", `'"'"'`)}'\n`)
    .join("");
}

/** Parses the output of environmentFile(), for the supervisor without systemd. */
export function parseEnvironmentFile(text: string): Record<string, string> {
  const entries: [string, string][] = [];
  const assignment = /([A-Za-z_][A-Za-z0-9_]*)=((?:'[^']*'|"'")*)\n/y;
  while (assignment.lastIndex < text.length) {
    const at = assignment.lastIndex;
    const match = assignment.exec(text);
    if (match === null) throw new Error(`Cannot parse the environment file: no assignment at character ${at}.`);
    const [, name = "", quoted = ""] = match;
    entries.push([name, quoted.replace(/'([^']*)'|"(')"/g, "$1$2")]);
  }
  return Object.fromEntries(entries);
}
