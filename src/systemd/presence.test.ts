import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { countMachines, systemdPresence } from "./presence";

let run = "";
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "systemd-booted-"));
});
afterEach(() => rmSync(run, { recursive: true, force: true }));

test("nothing exists", () => expect(systemdPresence(run)).toEqual({ booted: false, bus: false }));

test("machines are counted without the links of their units", () => {
  expect(countMachines(join(run, "machines"))).toBe(0);
  for (const name of ["web", "unit:web.service", "db"]) writeFileSync(join(run, name), "");
  expect(countMachines(run)).toBe(2);
});

test("the directory and the bus's socket exist", () => {
  mkdirSync(join(run, "systemd/system"), { recursive: true });
  mkdirSync(join(run, "dbus"));
  const server = Bun.listen({ unix: join(run, "dbus/system_bus_socket"), socket: { data() {} } });
  try {
    expect(systemdPresence(run)).toEqual({ booted: true, bus: true });
  } finally {
    server.stop(true);
  }
});

test("a symlink or a plain file does not count", () => {
  mkdirSync(join(run, "systemd"));
  symlinkSync("/", join(run, "systemd/system"));
  mkdirSync(join(run, "dbus"));
  writeFileSync(join(run, "dbus/system_bus_socket"), "");
  expect(systemdPresence(run)).toEqual({ booted: false, bus: false });
});
