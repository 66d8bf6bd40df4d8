import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  filesIn,
  type LaunchRequest,
  type RunningState,
  readExit,
  readRequest,
  readRunning,
  writeState,
} from "./state";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "state-files-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const order: LaunchRequest = {
  id: "i",
  bootId: "b",
  spec: {
    machine: "web",
    mode: "pid2",
    argv: ["/usr/bin/systemd-nspawn", "--", "ä\n"],
    environmentFile: "/e",
    notifySocket: "/n",
    stopTimeout: 5,
    slice: "batch.slice",
    stdoutPath: "/o",
    stderrPath: "/r",
    limits: { memoryMax: 1, cpus: "0" },
    devices: [{ path: "/dev/fuse", permissions: "rw" }],
    properties: {},
  },
};
const running: RunningState = {
  supervisor: { pid: 1, startTime: 2 },
  main: { pid: 3, startTime: 4 },
  leader: { pid: 5, startTime: 6 },
  locks: ["/.#c.lck"],
  startedAt: 7,
};

test("state is read back, is readable by its owner alone, and leaves no other files", () => {
  const files = filesIn(directory);
  const exit = { code: 7, signal: 0, oomKilled: true, message: "m", at: 8 };
  writeState(files.order, order);
  writeState(files.running, { ...running, startedAt: 1 });
  writeState(files.running, running);
  writeState(files.exit, exit);
  expect(readRequest(files)).toEqual(order);
  expect(readRunning(files)).toEqual(running);
  expect(readExit(files)).toEqual(exit);
  expect(readdirSync(directory).toSorted()).toEqual(["exit.json", "order.json", "running.json"]);
  expect(statSync(files.exit).mode & 0o777).toBe(0o600);
});

test("absent is undefined, damaged is an error that names the file", () => {
  const files = filesIn(directory);
  expect(readExit(files)).toBeUndefined();
  writeFileSync(files.exit, "{");
  expect(() => readExit(files)).toThrow(/exit\.json is damaged/);
  writeFileSync(files.exit, '{"code":"7"}');
  expect(() => readExit(files)).toThrow(/"code" is not a number/);
  writeFileSync(files.order, '{"id":"i","bootId":"b","spec":{"machine":"web","limits":{},"mode":"pid3"}}');
  expect(() => readRequest(files)).toThrow(/"mode" is not one of boot, pid2, pid1/);
});
