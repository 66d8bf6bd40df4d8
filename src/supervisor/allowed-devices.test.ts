import { expect, test } from "bun:test";
import { allowedDevices } from "./allowed-devices";

const paths = (argv: string[], devices: { path: string; permissions: string }[] = []) =>
  allowedDevices({ argv, devices }).map(({ path }) => path);

test("loop devices are allowed for disk images only", () => {
  expect(paths(["n", "--directory=/x"])).not.toContain("block-loop");
  expect(paths(["n", "--image=/x.raw"])).toContain("block-loop");
});

test("the job's command cannot request them", () => {
  expect(paths(["n", "--directory=/x", "--", "/bin/sh", "--image=/x.raw"])).not.toContain("block-loop");
});

test("the task's own devices are added", () => {
  expect(paths(["n"], [{ path: "/dev/char/1:3", permissions: "r" }])).toContain("/dev/char/1:3");
});
