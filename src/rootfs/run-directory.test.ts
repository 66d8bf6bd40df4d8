import { expect, test } from "bun:test";
import { isFreeInRun, showsRun } from "./run-directory";

test.each([
  [{ boot: false }, true],
  [{ boot: false, volatile: "state" }, true],
  [{ boot: false, volatile: "yes" }, false],
  [{ boot: true }, false],
] as const)("%j shows the image's /run: %j", (options, shown) => {
  expect(showsRun({ volatile: undefined, ...options })).toBe(shown);
});

test.each([
  ["/run/mysqld", [], true],
  ["/run/mysqld", ["/run/mysqld/sockets", "/srv"], true],
  ["/run/mysqld", ["/run/mysqld"], false],
  ["/run/mysqld", ["/run"], false],
  ["/run/host", [], false],
  ["/run/nomad-driver-nspawn", [], false],
  ["/run/a:b", [], true],
  ["/run/a\nb", [], false],
  ["/run/\ufffd", [], false],
])("%j beside mounts at %j can be mounted: %j", (path, taken, free) => {
  expect(isFreeInRun(path, taken)).toBe(free);
});
