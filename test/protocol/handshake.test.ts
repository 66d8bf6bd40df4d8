import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import packageJson from "../../package.json";
import { driverBinary } from "../../tools/build/project";
import { attempt } from "../../tools/command";
import { type HostState, hostState, leftovers } from "../../tools/leftovers";
import { DriverClient } from "../support/driver-client";
import { agentEnvironment, startPlugin } from "../support/plugin-process";
import { failure } from "./fixture";

let before: HostState;
beforeAll(async () => {
  before = await hostState();
});
afterAll(async () => {
  expect(await leftovers(before)).toEqual([]);
});

describe("the handshake", () => {
  test("is one line, and the only output", async () => {
    await using plugin = await startPlugin();
    expect(plugin.handshake.trimEnd()).toBe(`1|2|unix|${plugin.socket}|grpc`);
    using client = new DriverClient(plugin.socket);
    await client.setConfig();
    await client.pluginInfo();
    await client.shutdown();
    expect(await plugin.exited).toBe(0);
    expect(plugin.stdout()).toBe("");
    expect(existsSync(dirname(plugin.socket))).toBe(false);
  });

  test.each([
    [{ PLUGIN_CLIENT_CERT: "-----BEGIN CERTIFICATE-----" }, "mutual TLS"],
    [{ PLUGIN_PROTOCOL_VERSIONS: "7" }, "supports version 2"],
  ])("%j is refused with an error", async (env, part) => {
    const { code, stdout, stderr } = await attempt([driverBinary()], {
      env: { ...agentEnvironment("/tmp"), ...env },
    });
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toContain(part);
  });

  test("without the cookie the binary is a command line", async () => {
    const { code, stdout } = await attempt([driverBinary(), "version"]);
    expect(code).toBe(0);
    expect(stdout).toContain(packageJson.version);
  });
});

describe("the plugin", () => {
  test("starts itself again with the runtime's settings: as the same process, with the agent's variables", async () => {
    const own = "NAME=value with spaces, and =";
    await using plugin = await startPlugin({ env: { NAME: own.slice("NAME=".length) } });
    const read = async (name: string) =>
      (await readFile(`/proc/${plugin.pid}/${name}`, "utf8")).split("\0").slice(0, -1);
    expect(await read("cmdline")).toEqual([driverBinary()]);
    const environment = await read("environ");
    expect(environment).toContain(own);
    expect(environment.filter((variable) => variable.startsWith("BUN_"))).toEqual([
      "BUN_JSC_thresholdForJITAfterWarmUp=3000",
      "BUN_JSC_thresholdForJITSoon=3000",
      "BUN_JSC_thresholdForOptimizeAfterWarmUp=20000",
      "BUN_JSC_thresholdForOptimizeAfterLongWarmUp=20000",
    ]);
  });

  test("reports its name and version", async () => {
    await using plugin = await startPlugin();
    using client = new DriverClient(plugin.socket);
    expect((await client.health()).status).toBe(1);
    expect(await client.pluginInfo()).toMatchObject({
      type: 2,
      name: "nspawn",
      pluginApiVersions: ["0.1.0"],
      pluginVersion: packageJson.version,
    });
    expect((await client.configSchema()).spec?.block.case).toBe("object");
    expect((await client.taskConfigSchema()).spec?.block.case).toBe("object");
    expect((await client.capabilities()).capabilities).toMatchObject({ sendSignals: true, fsIsolation: 2 });
  });

  test("refuses an invalid config with an error", async () => {
    await using plugin = await startPlugin();
    using client = new DriverClient(plugin.socket);
    expect(await failure(client.setConfig({ pull_timeout: "soon" }))).toContain("pull_timeout");
    expect(await failure(client.setConfig({ nonsense: true }))).toContain("nonsense");
    await client.setConfig({ enabled: false });
    for await (const { healthDescription } of client.fingerprint()) {
      expect(healthDescription).toContain("disabled");
      break;
    }
  });

  test("survives Ctrl-C in the agent's terminal and accepts large messages", async () => {
    await using plugin = await startPlugin();
    using client = new DriverClient(plugin.socket);
    process.kill(plugin.pid, "SIGINT");
    expect(await failure(client.setConfig({ nonsense: "x".repeat(10_000_000) }))).toContain("nonsense");
    expect((await client.health()).status).toBe(1);
  });

  test("exits cleanly on SIGTERM", async () => {
    await using plugin = await startPlugin();
    expect(await plugin.kill("SIGTERM")).toBe(0);
    expect(existsSync(plugin.socket)).toBe(false);
  });
});
