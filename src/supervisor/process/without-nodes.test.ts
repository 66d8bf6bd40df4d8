import { expect, test } from "bun:test";
import { withoutNodes } from "./without-nodes";

const drop = "--drop-capability=CAP_MKNOD";

test.each([
  ["usually", ["--boot"], true],
  ["with another capability", ["--capability=CAP_NET_ADMIN"], true],
  ["if the job requests it", ["--capability=CAP_NET_ADMIN,CAP_MKNOD"], false],
  ["if the job requests all", ["--capability=all"], false],
  ["if only the job's command looks like it", ["--", "/bin/sh", "--capability=all"], true],
] as const)("the container makes no nodes: %s", (_name, args, dropped) => {
  const argv = ["/usr/bin/systemd-nspawn", ...args];
  expect(withoutNodes(argv)).toEqual(dropped ? [argv[0] ?? "", drop, ...args] : argv);
});
