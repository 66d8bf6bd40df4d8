/** Plots of docs/performance.md, drawn from its own tables: a plot shows the numbers that are beside it. */

/** A row of a table: its cells, without the emphasis and code marks of Markdown. */
export type Row = readonly string[];

/**
 * The rows of a table, below its header.
 *
 * @param heading of the section, and which of its tables, from 0
 * @throws Error if the section has no such table
 */
export function tableIn(page: string, heading: string, index: number): readonly Row[] {
  const section = page.split(/^#{2,3} /m).find((part) => part.startsWith(`${heading}\n`)) ?? "";
  const tables = section.match(/(?:^\|.*\n)+/gm) ?? [];
  const lines = tables[index]?.trimEnd().split("\n").slice(2);
  if (lines === undefined) throw new Error(`The section "${heading}" has no table ${index}.`);
  return lines.map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.replaceAll(/[`*]/g, "").trim()),
  );
}

/** The first figure of a cell with a unit of time, in milliseconds. @throws Error if it has none */
export function milliseconds(cell: string | undefined): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?) (ms|s)\b/.exec(cell ?? "") ?? [];
  if (number === undefined) throw new Error(`${JSON.stringify(cell)} is not a time.`);
  return Number(number) * (unit === "s" ? 1000 : 1);
}
