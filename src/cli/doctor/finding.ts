/** How much a finding matters: an error keeps tasks from running, a warning takes something away. */
export type Level = "ok" | "warning" | "error";

/** What `doctor` says about one thing. */
export interface Finding {
  /** Name of the check, for machines and for the first column. */
  readonly check: string;
  readonly level: Level;
  /** One sentence: what was found, and what follows from it. */
  readonly text: string;
  /** What to do about it. */
  readonly fix?: string;
}

/** Whether anything keeps tasks from running. */
export function hasErrors(findings: readonly Finding[]): boolean {
  return findings.some(({ level }) => level === "error");
}
