import { expect, test } from "bun:test";
import packageJson from "../../package.json";
import { writableOptions } from "../config/task/options";
import { commandLine } from "./command-line";

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const code = await commandLine(args, {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    colours: false,
  });
  return { code, out, err };
}

test("version, as text and as JSON", async () => {
  const { code, out } = await run("version");
  expect({ code, out }).toEqual({
    code: 0,
    out: expect.stringContaining(`nomad-driver-nspawn ${packageJson.version} (commit `),
  });
  expect((await run("--version")).out).toBe(out);
  expect(JSON.parse((await run("version", "--json")).out)).toMatchObject({
    version: packageJson.version,
    bun: Bun.version,
  });
});

test("schema task names every option", async () => {
  const { out } = await run("schema", "task");
  expect(Object.keys(JSON.parse(out).properties)).toEqual(Object.keys(writableOptions));
});

test("docs prints what docs/options.md holds", async () => {
  const page = await Bun.file(new URL("../../docs/options.md", import.meta.url)).text();
  expect((await run("docs")).out).toBe(page);
});

test("help lists every command, and shows the details of one", async () => {
  const { out } = await run();
  for (const name of ["doctor", "run", "exec", "schema", "docs", "version", "help"])
    expect(out).toContain(`\n  ${name}`);
  expect((await run("help", "doctor")).out).toContain("--plugin-dir DIR");
});

test.each(["--help", "-h"])("%s after every command shows its help, whatever else is wrong", async (flag) => {
  for (const [name] of (await run()).out.matchAll(/^ {2}[a-z]+/gm)) {
    const command = name.trim();
    const { code, out, err } = await run(command, "--bogus", flag);
    expect({ code, err, out }).toEqual({ code: 0, err: "", out: (await run("help", command)).out });
  }
  expect((await run("images", "list", flag)).out).toBe((await run("help", "images")).out);
});

test("--help after the task of exec, or after --, is an argument of the command", async () => {
  expect((await run("exec", "no-such-machine", "ls", "--help")).err).toContain("no-such-machine");
});

test("exec in a missing machine is an error, not wrong usage", async () => {
  const { code, err } = await run("exec", "no-such-machine", "true");
  expect(code).toBe(1);
  // The second if this host has tasks.
  expect(err).toMatch(
    /No (?:container "no-such-machine" of this driver is running|task "no-such-machine" of this driver exists) on this host/,
  );
});

test.each([
  [
    ["bogus"],
    'Unknown command "bogus". Available commands: doctor, run, validate, exec, ps, inspect, logs, stats, events, images',
  ],
  [["help", "bogus"], 'Unknown command "bogus".'],
  [["schema"], 'Expected "task" or "plugin".'],
  [["schema", "job"], "Expected"],
  [["version", "--nope"], "--nope"],
  [["exec"], "Missing argument: TASK."],
  [["exec", "--user", "app", "web"], "Missing argument: COMMAND."],
  [["exec", "--tty", "--no-tty", "web", "sh"], "exclude each other"],
  [["exec", "--tty", "web", "sh"], "needs a terminal"],
  [["exec", "--nope", "web", "sh"], "--nope"],
  [["docs", "extra"], "extra"],
])("%j is rejected with a message and exit code 2", async (args, sentence) => {
  const { code, out, err } = await run(...args);
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(err).toContain(sentence);
});
