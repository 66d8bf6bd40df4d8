import { type AnyOption, allowedText, defaultOf, type HclType, isRequired, type OptionTable } from "./option";
import { pluginOptions } from "./plugin/options";
import { writableOptions } from "./task/options";

/** The whole reference of options, in Markdown. */
export function optionsPage(): string {
  return [
    "# Options",
    "Made by `bun scripts/gen-docs.ts` from the option tables in `src/config`; do not edit.",
    'A map is written as a block (`environment { FOO = "bar" }`) or as an attribute (`environment = { FOO = "bar" }`). Nomad\'s job files allow quoted names, such as paths, in the attribute form only.',
    "## Task config",
    ...section(writableOptions),
    "## Plugin config",
    ...section(pluginOptions),
  ]
    .join("\n\n")
    .concat("\n");
}

function section(options: OptionTable): string[] {
  return [table(options), examples(options)];
}

function table(options: OptionTable): string {
  const rows = flatten(options, "").map(([name, row]) => {
    const cells = [`\`${name}\``, typeText(row.type), defaultText(row), allowedCell(row), meaning(row)];
    return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  });
  return ["| Option | Type | Default | Allowed | Meaning |", "|---|---|---|---|---|", ...rows].join("\n");
}

/** Options by dotted name, each followed by the options of its block. */
function flatten(options: OptionTable, prefix: string): [name: string, row: AnyOption][] {
  return Object.entries(options).flatMap(([name, row]) => [
    [prefix + name, row] satisfies [string, AnyOption],
    ...(row.type.kind === "block" ? flatten(row.type.options, `${prefix}${name}.`) : []),
  ]);
}

function typeText(type: HclType): string {
  if (type.kind === "map") return `map(${type.of})`;
  if (type.kind === "maps") return "block";
  if (type.kind === "words") return "string or list(string)";
  return type.kind === "strings" ? "list(string)" : type.kind;
}

function defaultText(row: AnyOption): string {
  if (isRequired(row)) return "**required**";
  const value = defaultOf(row);
  const empty = value === undefined || (typeof value === "object" && value !== null && Object.keys(value).length === 0);
  return empty ? "" : `\`${JSON.stringify(value)}\``;
}

function allowedCell(row: AnyOption): string {
  const trivial = row.allowed === undefined && !(row.type.kind === "string" && row.type.values !== undefined);
  return trivial ? "" : allowedText(row);
}

function meaning(row: AnyOption): string {
  return row.nspawn === undefined ? row.meaning : `${row.meaning} (\`${row.nspawn}\`)`;
}

function examples(options: OptionTable): string {
  const blocks = Object.values(options).flatMap((row) => (row.example === undefined ? [] : [row.example]));
  return [
    "```hcl",
    "config {",
    ...blocks
      .join("\n")
      .split("\n")
      .map((line) => `  ${line}`),
    "}",
    "```",
  ].join("\n");
}
