import { expect, test } from "bun:test";
import { findProgram } from "../linux/programs";
import { commandLine } from "./command-line";
import { optionsOf } from "./completion";

async function script(shell: string): Promise<string> {
  const parts: string[] = [];
  const terminal = { out: (text: string) => void parts.push(text), err: () => {}, colours: false };
  expect(await commandLine(["completion", shell], terminal)).toBe(0);
  return parts.join("");
}

test("the options of a command are those of its usage and help", () => {
  expect(
    optionsOf({ usage: "TASK [--json]", help: "Text with --no-option.\n\n  -f, --follow  x\n  --tail N  y" }),
  ).toEqual([...["--json", "--follow", "--tail", "--help"]]);
});

/** What bash offers for a line, at its end. */
async function bash(line: string): Promise<string[]> {
  const words = line.split(" ");
  const program = [
    await script("bash"),
    `COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")})`,
    `COMP_CWORD=${words.length - 1}`,
    `_nomad_driver_nspawn; printf "%s\n" "\${COMPREPLY[@]}"`,
  ].join("\n");
  const child = Bun.spawnSync(["bash", "-euc", program], { env: { PATH: process.env["PATH"] }, cwd: import.meta.dir });
  expect(child.stderr.toString()).toBe("");
  return child.stdout.toString().trim().split("\n");
}

test.each<[string, string[]]>([
  ["nomad-driver-nspawn in", ["inspect"]],
  ["nomad-driver-nspawn images p", ["pull", "prune"]],
  ["nomad-driver-nspawn logs --f", ["--follow"]],
  ["nomad-driver-nspawn help vali", ["validate"]],
  ["nomad-driver-nspawn validate completion.test", ["completion.test.ts"]],
  ["nomad-driver-nspawn version --", ["--json", "--help"]],
])("bash completes %j", async (line, expected) => {
  expect(await bash(line)).toEqual(expected);
});

test.skipIf(findProgram("zsh") === undefined)("zsh completes commands, words and options", async () => {
  const program = [
    "autoload -Uz compinit; compinit -D -u 2>/dev/null",
    'compadd() { [[ "$1" == -- ]] && shift; print -rl -- "$@" }',
    `_describe() { print -rl -- "\${(P@)2}" }`,
    await script("zsh"),
    "words=(nomad-driver-nspawn images p); CURRENT=3; _nomad_driver_nspawn",
    "words=(nomad-driver-nspawn logs --f); CURRENT=3; _nomad_driver_nspawn",
    "words=(nomad-driver-nspawn in); CURRENT=2; _nomad_driver_nspawn",
  ].join("\n");
  const child = Bun.spawnSync(["zsh", "-fc", program], { env: { PATH: process.env["PATH"], HOME: "/nonexistent" } });
  const lines = child.stdout.toString().split("\n");
  for (const expected of [
    "prune",
    "--follow",
    "inspect:show a task's config, command line of systemd-nspawn, paths and state",
  ]) {
    expect(lines).toContain(expected);
  }
});
