import { describe, expect, test } from "bun:test";
import { allowedDevices, dropMknod } from "./devices";

describe("allowed-devices", () => {
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
});

describe("without-nodes", () => {
  const drop = "--drop-capability=CAP_MKNOD";

  test.each([
    ["usually", ["--boot"], true],
    ["with another capability", ["--capability=CAP_NET_ADMIN"], true],
    ["if the job requests it", ["--capability=CAP_NET_ADMIN,CAP_MKNOD"], false],
    ["if the job requests all", ["--capability=all"], false],
    ["if only the job's command looks like it", ["--", "/bin/sh", "--capability=all"], true],
  ] as const)("the container makes no nodes: %s", (_name, args, dropped) => {
    const argv = ["/usr/bin/systemd-nspawn", ...args];
    expect(dropMknod(argv)).toEqual(dropped ? [argv[0] ?? "", drop, ...args] : argv);
  });
});
