/** Nomad's own client, harness and driver test suites (module of Nomad 1.6.1) against the built plugin; one test here for each in Go. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { driverBinary } from "../../scripts/build/project";
import { attempt, run } from "../../scripts/command";
import { busyboxImage } from "../../scripts/images/images";
import { conformanceTests } from "../../scripts/setup/nomad";
import { type HostState, hostState, leftovers } from "../support/leftovers";

const binary = await conformanceTests();
const names = (await run([binary, "-test.list", "."])).stdout.split("\n").filter((line) => line.startsWith("Test"));

let before: HostState;
beforeAll(async () => {
  before = await hostState();
});
afterAll(async () => {
  expect(await leftovers(before)).toEqual([]);
});

test("there are tests", () => {
  expect(names.length).toBeGreaterThan(10);
});

test.each(names)("%s", async (name) => {
  const env = { ...process.env, NSPAWN_DRIVER_BINARY: driverBinary(), NSPAWN_TEST_IMAGE: await busyboxImage() };
  const argv = [binary, "-test.run", `^${name}$`, "-test.v", "-test.timeout", "50s"];
  const { code, stdout, stderr } = await attempt(argv, { env });
  expect({ code, output: code === 0 ? "" : `${stdout}${stderr}` }).toEqual({ code: 0, output: "" });
  expect(stdout).not.toContain("--- SKIP");
  expect(stdout).toContain(`--- PASS: ${name}`);
});
