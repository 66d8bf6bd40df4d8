/** A line of the plugin's log as text, or undefined for one that only --verbose shows. */
export function logSentence(line: string, verbose: boolean): string | undefined {
  const fields = parse(line);
  // Not JSON of hclog: a crash report, for example.
  if (fields === undefined) return line;
  const { "@level": level, "@message": message, "@module": module, "@timestamp": _, ...more } = fields;
  const important = level === "warn" || level === "error";
  if (!important && !verbose) return undefined;
  const details = Object.entries(more).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
  return `[${String(level)}] ${verbose ? `${String(module)}: ` : ""}${String(message)}${details.join("")}`;
}

function parse(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && "@level" in value ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
