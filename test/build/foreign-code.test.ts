/**
 * Which of bun's features that load foreign code are disabled in the compiled binary, and which are not. docs/security.md lists
 * the latter: a user who sets the agent's environment is root already, and can use LD_PRELOAD as well. A test named "is open"
 * fails when a new bun disables the feature, so that the page can be changed.
 */

import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { version } from "../../src/lib/executable";
import { driverBinary } from "../../tools/build/project";
import { attempt } from "../../tools/command";
import { startPlugin } from "../support/plugin-process";

const directories: string[] = [];
let directory = "";
let script = "";
const intruded = () => existsSync(join(directory, "intruded"));

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "nspawn-foreign-"));
  directories.push(directory);
  script = join(directory, "intruder.js");
  await writeFile(script, `require("node:fs").writeFileSync(${JSON.stringify(join(directory, "intruded"))}, "")`);
});
afterAll(async () => {
  for (const made of directories) await rm(made, { recursive: true });
});

/** Runs `version` in the directory of the intruder, with only the given environment. */
const runIn = (env: Record<string, string> = {}, argv: readonly string[] = ["version"]) =>
  attempt([driverBinary(), ...argv], { cwd: directory, env });

describe("disabled", () => {
  test("a bunfig.toml with a preload in the working directory", async () => {
    await writeFile(join(directory, "bunfig.toml"), 'preload = ["./intruder.js"]\n');
    expect((await runIn()).stdout).toContain(version);
    expect(intruded()).toBe(false);
  });

  test("a .bunfig.toml with a preload in the home directory", async () => {
    await writeFile(join(directory, ".bunfig.toml"), `preload = [${JSON.stringify(script)}]\n`);
    expect((await runIn({ HOME: directory, XDG_CONFIG_HOME: directory })).stdout).toContain(version);
    expect(intruded()).toBe(false);
  });

  test.each([".env", ".env.local", ".env.production", ".env.development"])(
    "a %s in the working directory",
    async (name) => {
      // If the file were read, the binary would start as a plugin and print a handshake.
      const cookie = "NOMAD_PLUGIN_MAGIC_COOKIE=e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255";
      await writeFile(join(directory, name), `${cookie}\nPLUGIN_PROTOCOL_VERSIONS=2\n`);
      const { stdout } = await runIn();
      expect(stdout).toContain(version);
      expect(stdout).not.toContain("|grpc");
    },
  );

  test("a package.json, a tsconfig.json and node_modules in the working directory", async () => {
    await writeFile(join(directory, "package.json"), '{"imports":{"#x":"./intruder.js"},"main":"./intruder.js"}');
    await writeFile(join(directory, "tsconfig.json"), '{"compilerOptions":{"paths":{"*":["./intruder.js"]}}}');
    expect((await runIn()).stdout).toContain(version);
    expect(intruded()).toBe(false);
  });

  test("NODE_OPTIONS", async () => {
    expect((await runIn({ NODE_OPTIONS: `--require=${script} --import=${script}` })).stdout).toContain(version);
    expect(intruded()).toBe(false);
  });

  test("bun's options on the command line", async () => {
    await runIn({}, [`--preload=${script}`, "version"]);
    await runIn({}, ["run", script]);
    expect(intruded()).toBe(false);
  });
});

describe("open to users who set the agent's environment", () => {
  test("BUN_OPTIONS=--preload is open", async () => {
    expect((await runIn({ BUN_OPTIONS: `--preload=${script}` })).stdout).toContain(version);
    expect(intruded()).toBe(true);
  });

  test("BUN_BE_BUN=1 is open: the binary then runs as bun", async () => {
    expect((await runIn({ BUN_BE_BUN: "1" }, [script])).code).toBe(0);
    expect(intruded()).toBe(true);
  });

  test("BUN_INSPECT is open: it opens a debugger's port", async () => {
    const port = freePort();
    await using plugin = await startPlugin({ env: { BUN_INSPECT: `127.0.0.1:${port}/inspector` } });
    expect(await listens(port)).toBe(true);
    expect(plugin.handshake).toContain("|grpc");
  });
});

function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

async function listens(port: number): Promise<boolean> {
  try {
    const connection = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
    connection.end();
    return true;
  } catch {
    return false;
  }
}
