/** Nomad's own client, harness and driver test suites (module of Nomad 1.6.1) against the built plugin. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { driverBinary } from "../../tools/build/project";
import { attempt, run } from "../../tools/command";
import { busyboxImage } from "../../tools/images/images";
import { type HostState, hostState, leftovers } from "../../tools/leftovers";
import { conformanceTests } from "../../tools/setup/nomad";
import { timeoutScale } from "../../tools/timeout-scale";

/** Declares a test for each Go test that `wanted` selects; they must not leave anything behind. */
export async function declareGoTests(wanted: (name: string) => boolean): Promise<void> {
  const binary = await conformanceTests();
  const { stdout } = await run([binary, "-test.list", "."]);
  const names = stdout.split("\n").filter((line) => line.startsWith("Test") && wanted(line));
  let before: HostState;
  beforeAll(async () => {
    before = await hostState();
  });
  afterAll(async () => {
    expect(await leftovers(before)).toEqual([]);
  });

  test("the suite has tests", () => {
    expect(names).not.toEqual([]);
  });

  test.each(names)("%s", async (name) => {
    const env = { ...process.env, NSPAWN_DRIVER_BINARY: driverBinary(), NSPAWN_TEST_IMAGE: await busyboxImage() };
    const argv = [binary, "-test.run", `^${name}$`, "-test.v", "-test.timeout", `${50 * timeoutScale}s`];
    const ended = await attempt(argv, { env });
    const output = ended.code === 0 ? "" : `${ended.stdout}${ended.stderr}`;
    expect({ code: ended.code, output }).toEqual({ code: 0, output: "" });
    expect(ended.stdout).not.toContain("--- SKIP");
    expect(ended.stdout).toContain(`--- PASS: ${name}`);
  });
}
