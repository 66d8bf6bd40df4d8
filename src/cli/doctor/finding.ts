import { paint, type Terminal } from "../command";

/** Severity of a finding: an error keeps tasks from running, a warning means that a feature does not work. */
type Level = "ok" | "warning" | "error";

/** What `doctor` reports about one check. */
export interface Finding {
  /** Name of the check, for the JSON output and for the first column. */
  readonly check: string;
  readonly level: Level;
  /** One sentence: what was found, and its consequence. */
  readonly text: string;
  /** What to do about it. */
  readonly fix?: string;
  /** Commands that do it, in order: each is a line for a shell. */
  readonly commands?: readonly string[];
}

/** Makes the findings of one check. */
export function about(check: string) {
  return {
    ok: (text: string): Finding => ({ check, level: "ok", text }),
    warning: (text: string, fix: string, commands: readonly string[] = []): Finding =>
      fixed({ check, level: "warning", text, fix }, commands),
    error: (text: string, fix: string, commands: readonly string[] = []): Finding =>
      fixed({ check, level: "error", text, fix }, commands),
  };
}

function fixed(finding: Finding, commands: readonly string[]): Finding {
  return commands.length === 0 ? finding : { ...finding, commands };
}

/** Whether anything keeps tasks from running. */
export function hasErrors(findings: readonly Finding[]): boolean {
  return findings.some(({ level }) => level === "error");
}

const colours = { ok: "green", warning: "yellow", error: "red" } as const satisfies Record<Level, string>;

/** Findings as text: a line each, followed by the fix. */
export function reportText(findings: readonly Finding[], terminal: Pick<Terminal, "colours">): string {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const lines = findings.flatMap(({ check, level, text, fix, commands = [] }) => [
    `${paint(terminal, colours[level], level.padEnd(7))}  ${check.padEnd(width)}  ${text}`,
    ...(fix === undefined ? [] : [`${" ".repeat(9 + width)}  ${paint(terminal, "dim", "→")} ${fix}`]),
    ...commands.map((command) => `${" ".repeat(9 + width)}    ${paint(terminal, "dim", "$")} ${command}`),
  ]);
  return [...lines, "", summary(findings), ""].join("\n");
}

function summary(findings: readonly Finding[]): string {
  const count = (level: Level, noun: string) => {
    const number = findings.filter((finding) => finding.level === level).length;
    return `${number === 0 ? "no" : number} ${noun}${number === 1 ? "" : "s"}`;
  };
  const text = `${count("error", "error")}, ${count("warning", "warning")}.`;
  return text.charAt(0).toUpperCase() + text.slice(1);
}
