import { type AnyOption, allowedText, defaultOf, type HclType, isRequired, type OptionTable } from "./option";
import { pluginOptions } from "./plugin/options";
import { firstRelease } from "./since";
import { taskOptionGroups } from "./task/options";

/** The whole reference of options, in Markdown: a heading for each option, so that it can be linked to. */
export function optionsPage(): string {
  return [
    "# Options",
    "Made by `bun scripts/gen-docs.ts` from the option tables in `src/config`; do not edit.",
    'A map is written as a block (`environment { FOO = "bar" }`) or as an attribute (`environment = { FOO = "bar" }`). Nomad\'s job files allow quoted names, such as paths, in the attribute form only.',
    ["## Contents", ...taskOptionGroups.map(contents), contents(["Plugin config", pluginOptions])].join("\n\n"),
    "## Task config",
    ...taskOptionGroups.flatMap(([subject, options]) => [`### ${subject}`, ...entries(options)]),
    "## Plugin config",
    ...entries(pluginOptions),
  ]
    .join("\n\n")
    .concat("\n");
}

function contents([subject, options]: readonly [string, OptionTable]): string {
  const links = Object.keys(options).map((name) => `[\`${name}\`](#${anchor(name, options)})`);
  return `**${subject}**: ${links.join(", ")}`;
}

/** The anchor of a heading `NAME`. An option of the plugin whose name is that of a task's has "-1" at its end, as GitHub makes it. */
function anchor(name: string, options: OptionTable): string {
  const taken = options === pluginOptions && taskOptionGroups.some(([, others]) => Object.hasOwn(others, name));
  return taken ? `${name}-1` : name;
}

function entries(options: OptionTable): string[] {
  return Object.entries(options).flatMap(([name, row]) => [
    `#### \`${name}\``,
    `${facts(row)}; ${sinceText(name, options)}`,
    meaning(row),
    ...(row.type.kind === "block" ? [members(row.type.options, `${name}.`)] : []),
    ...(row.example === undefined ? [] : [["```hcl", "config {", indented(row.example), "}", "```"].join("\n")]),
  ]);
}

/** Type, default, allowed values, and the version of systemd-nspawn that the meaning names. */
function facts(row: AnyOption): string {
  const needs = /[Nn]eeds systemd-nspawn (\d+)/.exec(row.meaning)?.[1];
  const texts = [
    typeText(row.type),
    defaultText(row),
    ...[allowedCell(row)].filter((text) => text !== ""),
    ...(needs === undefined ? [] : [`needs systemd-nspawn ${needs}`]),
  ];
  return texts.join("; ");
}

/** The release that had the option first. */
function sinceText(name: string, options: OptionTable): string {
  const release = firstRelease(options === pluginOptions ? "plugin" : "task", name);
  return release === undefined ? "not in a release yet" : `since ${release}`;
}

/** The options of a block, as a table. */
function members(options: OptionTable, prefix: string): string {
  const rows = flatten(options, prefix).map(([name, row]) => {
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
  if (!empty) return `default \`${JSON.stringify(value)}\``;
  return row.meaning.includes("default") ? "default as described" : "absent by default";
}

function allowedCell(row: AnyOption): string {
  const trivial = row.allowed === undefined && !(row.type.kind === "string" && row.type.values !== undefined);
  return trivial ? "" : allowedText(row);
}

function meaning(row: AnyOption): string {
  return row.nspawn === undefined ? row.meaning : `${row.meaning} (\`${row.nspawn}\`)`;
}

function indented(text: string): string {
  return text
    .split("\n")
    .map((line) => `  ${line}`)
    .join("\n");
}
