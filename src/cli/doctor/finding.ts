/** Severity of a finding: an error keeps tasks from running, a warning means that a feature does not work. */
export type Level = "ok" | "warning" | "error";

/** What `doctor` reports about one check. */
export interface Finding {
  /** Name of the check, for the JSON output and for the first column. */
  readonly check: string;
  readonly level: Level;
  /** One sentence: what was found, and its consequence. */
  readonly text: string;
  /** What to do about it. */
  readonly fix?: string;
}

/** Whether anything keeps tasks from running. */
export function hasErrors(findings: readonly Finding[]): boolean {
  return findings.some(({ level }) => level === "error");
}
