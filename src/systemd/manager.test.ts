import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type DBusConnection, type Message, messageType } from "dbus-native";
import type { Logger } from "../lib/logger";
import { SystemdManager, unitPath } from "./manager";

const silent: Logger = {
  trace: () => {},
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  named: () => silent,
};
let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "manager-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Listens as PID 1 does, and responds to every call: to Get with the version, which can be an error. */
function fakePid1(socket: string, version: () => string | Error) {
  const calls: string[] = [];
  const connections: DBusConnection[] = [];
  createServer((connection) => {
    connections.push(connection);
    connection.on("error", () => {});
    connection.on("message", ({ type, member = "", serial }: Message) => {
      if (type !== messageType.methodCall || serial === undefined) return;
      calls.push(member);
      const found = member === "Get" ? version() : undefined;
      const header = { replySerial: serial, serial: 1000 + calls.length };
      if (found instanceof Error) {
        connection.message({ ...header, type: messageType.error, errorName: found.message });
      } else {
        const body = found === undefined ? {} : { signature: "v", body: [["s", found]] };
        connection.message({ ...header, type: messageType.methodReturn, ...body });
      }
    });
  }).listen(socket);
  return {
    asked: () => calls.filter((member) => member === "Get").length,
    drop: () => {
      for (const connection of connections.splice(0)) connection.stream.destroy();
    },
  };
}

test("the version is asked for once per connection, and again after an error", async () => {
  const socket = join(directory, "socket");
  const versions: (string | Error)[] = [new Error("org.example.Busy"), "257.4-1", "260~rc1"];
  const pid1 = fakePid1(socket, () => versions.shift() ?? "0");
  const manager = new SystemdManager(silent, socket);
  await expect(manager.version()).rejects.toThrow("systemd rejected Get");
  expect(await Promise.all([manager.version(), manager.version()])).toEqual([257, 257]);
  expect(await manager.version()).toBe(257);
  expect(pid1.asked()).toBe(2);
  pid1.drop();
  await Bun.sleep(20);
  expect(await manager.version()).toBe(260);
  expect(pid1.asked()).toBe(3);
  await manager.close();
});

test("without PID 1, the error names its socket", async () => {
  const socket = join(directory, "socket");
  await expect(new SystemdManager(silent, socket).version()).rejects.toThrow(`systemd's socket ${socket}`);
});

test.each([
  ["a.service", "a_2eservice"],
  ["1-a", "_31_2da"],
])("the object path of %s ends with %s", (unit, encoded) => {
  expect(unitPath(unit)).toBe(`/org/freedesktop/systemd1/unit/${encoded}`);
});
