import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fuzz, jsonLike } from "../../../test/support/fuzz";
import { DamagedStateError, filesIn, readExit, readRequest, readRunning } from "./state";

const directory = mkdtempSync(join(tmpdir(), "state-"));
afterAll(() => rmSync(directory, { recursive: true }));
const files = filesIn(directory);
const process = { pid: 7, startTime: 8 };
const running = { supervisor: process, main: process, leader: process, locks: ["/lock"], startedAt: 9 };
const exit = { code: 1, signal: 0, oomKilled: false, message: "x", at: 10 };
const spec = {
  machine: "m",
  mode: "pid1",
  argv: ["nspawn"],
  environment: { A: "b" },
  stdoutPath: "/out",
  stderrPath: "/err",
  limits: { memoryMax: 1 },
  devices: [{ path: "/dev/null", permissions: "r" }],
  properties: {},
};

test("any records of a shim are decoded or rejected", () => {
  const each = [
    [files.running, running, () => readRunning(files)],
    [files.exit, exit, () => readExit(files)],
    [files.order, { id: "i", bootId: "b", spec }, () => readRequest(files)],
  ] as const;
  for (const [path, good, read] of each) {
    writeFileSync(path, JSON.stringify(good));
    expect(read()).toBeDefined();
    const damaged = (text: string) => {
      writeFileSync(path, text);
      read();
    };
    fuzz(jsonLike(good), damaged, [DamagedStateError], 700);
  }
});
