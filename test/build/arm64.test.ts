/**
 * The executable for arm64, run by emulation, with containers for arm64. No command runs in a container here, because QEMU's user mode
 * emulation has no ptrace(2), by which the driver reads a container's system call filters; it lacks seccomp(2) and bpf(2) too.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { version } from "../../src/lib/executable";
import { bunRuntime } from "../../tools/build/bun-runtime";
import { compile } from "../../tools/build/compile";
import { binaryName, driverBinary, projectRoot } from "../../tools/build/project";
import { ARM64 } from "../../tools/build/targets";
import { attempt, run } from "../../tools/command";
import { arm64Emulator } from "../../tools/images/arm64";
import { openArm64View } from "../../tools/machines/arm64-view";
import { TIMEOUT_SCALE_VARIABLE } from "../../tools/timeout-scale";
import { DriverClient } from "../support/driver-client";
import { startPlugin } from "../support/plugin-process";

/** Before Linux 6.7 there is none: a user namespace has no emulators of its own. */
const view = await openArm64View(await arm64Emulator());
const inside = (argv: readonly string[]): string[] => view?.inside(argv) ?? [];

/** Tests of what differs between CPUs: system calls, machine code of programs, structures, flags. They run with the runtime for arm64. */
const UNIT_TESTS = [
  "src/linux/syscall-program",
  "src/linux/cpu",
  "src/linux/ffi.test.ts",
  "src/linux/flock.test.ts",
  "src/linux/pidfd.test.ts",
  "src/linux/walk-names.test.ts",
  "src/exec/read-program.test.ts",
  "src/image/platform.test.ts",
] as const;

let scratch = "";
let binary = "";
/** A program that runs the driver in the view, as an agent's plugin_dir would have it. */
let plugin = "";
beforeAll(async () => {
  if (view === undefined) return;
  scratch = await mkdtemp(join(tmpdir(), "arm64-"));
  binary = join(scratch, binaryName);
  const what = { root: projectRoot, entry: "src/main.ts", commit: "0123456789ab", time: 1_764_000_000, target: ARM64 };
  await compile({ ...what, outfile: binary });
  plugin = join(scratch, "plugin");
  const words = inside([binary]).map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  await writeFile(plugin, `#!/bin/sh\nexec ${words.join(" ")}\n`);
  await chmod(plugin, 0o755);
}, 120_000);
afterAll(async () => {
  await view?.[Symbol.asyncDispose]();
  if (scratch !== "") await rm(scratch, { recursive: true });
});

const driver = (...args: readonly string[]) => attempt(inside([binary, ...args]), { cwd: projectRoot });

describe.skipIf(view === undefined)("the executable for arm64", () => {
  test("says what it is for", async () => {
    const { stdout } = await driver("version", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ version, platform: "linux/arm64" });
  });

  test("doctor checks what the one for x86-64 checks", async () => {
    const [foreign, own] = [await driver("doctor", "--json"), await attempt([driverBinary(), "doctor", "--json"])];
    expect(checks(foreign.stdout)).toEqual(checks(own.stdout));
    expect(foreign.stdout).toContain("systemd-nspawn is version");
  });

  test("validate checks a job", async () => {
    const { code, stdout } = await driver("validate", "examples/boot.hcl");
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining("ok.") });
  });

  test("is a plugin that answers an agent as the one for x86-64 does", async () => {
    const [foreign, own] = [await answers(plugin), await answers(driverBinary())];
    expect(foreign.schemas).toEqual(own.schemas);
    expect(foreign.fingerprint).toEqual(own.fingerprint);
  });

  test("starts a task, for a user and with variables that its own program passes on", async () => {
    const argv = [process.execPath, "test", "--timeout", "100000", "./test/build/inside/arm64-task.ts"];
    const env = { ...process.env, NSPAWN_DRIVER_BINARY: binary, [TIMEOUT_SCALE_VARIABLE]: "10" };
    const { stderr } = await run(inside(argv), { cwd: projectRoot, env });
    expect(stderr).toMatch(/^ 1 pass$/m);
  }, 180_000);

  test("makes its system calls, and programs that make them", async () => {
    const bun = await bunRuntime(ARM64);
    const { stderr } = await run(inside([bun, "test", "--timeout", "60000", ...UNIT_TESTS]), {
      cwd: projectRoot,
    });
    expect(stderr).toMatch(/^ 0 fail$/m);
    expect(Number(/^ (\d+) pass$/m.exec(stderr)?.[1])).toBeGreaterThan(40);
  }, 180_000);
});

/** The names of doctor's checks. */
function checks(report: string): unknown {
  return [...report.matchAll(/"check": "([^"]*)"/g)].map(([, name]) => name);
}

/** The answers of a plugin to what an agent asks first. */
async function answers(executable: string) {
  await using started = await startPlugin({ binary: executable, timeout: 50_000 });
  using client = new DriverClient(started.socket);
  const schemas: unknown[] = [await client.pluginInfo(), await client.configSchema()];
  await client.setConfig();
  schemas.push(await client.taskConfigSchema(), await client.capabilities());
  for await (const { health, attributes } of client.fingerprint()) {
    return { schemas, fingerprint: { health, names: Object.keys(attributes).toSorted() } };
  }
  throw new Error("The plugin sent no fingerprint.");
}
