import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { OptionTable } from "../../config/option";
import { pluginOptions } from "../../config/plugin/options";
import { writableOptions } from "../../config/task/options";
import { ADVISED } from "./foreign-options";

const page = readFileSync(new URL("../../../docs/parity.md", import.meta.url), "utf8");
const sections = new Map(page.split(/^## /m).map((section) => [section.split("\n")[0] ?? "", section]));

/** The rows of a section's table, as cells. */
function rows(title: string): string[][] {
  const lines = (sections.get(title) ?? "").split("\n").filter((line) => line.startsWith("|"));
  return lines.slice(2).map((line) =>
    line
      .split("|")
      .map((cell) => cell.trim())
      .slice(1, -1),
  );
}

const namesIn = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name);

/** Names of options, those of blocks as BLOCK.NAME. */
function names(table: OptionTable): string[] {
  return Object.entries(table).flatMap(([name, { type }]) => [
    name,
    ...(type.kind === "block" ? names(type.options).map((inner) => `${name}.${inner}`) : []),
  ]);
}

const known = new Set([...names(writableOptions), ...names(pluginOptions)]);
const DOCKER = "Task options of the Docker driver";
const OTHERS = "What podman, containerd, exec, raw_exec, exec2 and java have besides";
const PLUGIN = "Plugin options";
const NSPAWN = "Switches of systemd-nspawn";

test.each([DOCKER, OTHERS, PLUGIN, NSPAWN])(
  "%s: each row has a verdict, and each option that it names exists",
  (title) => {
    expect(rows(title).length).toBeGreaterThan(10);
    for (const [theirs = "", here = "", reason = ""] of rows(title)) {
      const row = { theirs, here };
      expect(row).toEqual({ theirs, here: expect.stringMatching(/^(?:has|no|as `[a-z0-9_.]+`)$/) });
      for (const name of namesIn(here))
        expect({ ...row, name, known: known.has(name) }).toEqual({ ...row, name, known: true });
      if (here === "no") expect({ ...row, reason: reason.length > 5 }).toEqual({ ...row, reason: true });
      for (const [, name = ""] of reason.matchAll(/also (?:in one word, )?as `([a-z_]+)`/g)) {
        expect({ ...row, name, known: known.has(name) }).toEqual({ ...row, name, known: true });
      }
    }
  },
);

test("an option that Docker has under the same name is an option here", () => {
  for (const [theirs = "", here = ""] of rows(DOCKER)) {
    if (here !== "has") continue;
    for (const name of namesIn(theirs)) expect({ name, known: known.has(name) }).toEqual({ name, known: true });
  }
});

test("a switch that an option stands for is that of its row", () => {
  for (const [theirs = "", here = ""] of rows(NSPAWN)) {
    if (here !== "has") continue;
    for (const name of namesIn(theirs).map((each) => each.replace(/^--|=$/g, "").replaceAll("-", "_"))) {
      const option = { notify_ready: "notify_ready" }[name] ?? name;
      expect({ option, known: known.has(option) }).toEqual({ option, known: true });
    }
  }
});

test("everything that validate gives advice for is in the tables, and nothing that is an option here", () => {
  const listed = new Set([DOCKER, OTHERS].flatMap((title) => rows(title).flatMap(([theirs = ""]) => namesIn(theirs))));
  for (const name of ADVISED) expect({ name, listed: listed.has(name) }).toEqual({ name, listed: true });
  for (const [theirs = "", here = ""] of [...rows(DOCKER), ...rows(OTHERS)]) {
    if (here === "has") continue;
    for (const name of namesIn(theirs).filter((each) => /^[a-z_0-9]+$/.test(each))) {
      expect({ name, advised: ADVISED.includes(name) }).toEqual({ name, advised: true });
    }
  }
});
