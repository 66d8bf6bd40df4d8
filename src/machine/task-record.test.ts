import { expect, test } from "bun:test";
import { parseTaskRecord } from "./task-record";

const RECORD = {
  task: "web",
  allocation: "4be1e5b0-8b1c-0d44-9ad4-3a0f6e5a9a52",
  job: "site",
  jobName: "site",
  group: "front",
  namespace: "default",
  node: "client-1",
  nodeId: "6a1f",
  image: "debian",
  mode: "boot",
  network: "private",
  directory: "/var/nomad/alloc/4be1e5b0",
  stdoutPath: "/var/nomad/alloc/4be1e5b0/alloc/logs/.web.stdout.fifo",
  stderrPath: "/dev/null",
  config: { image: "debian" },
} as const;

test("a record of this version", () => {
  expect(parseTaskRecord(JSON.stringify({ version: 1, ...RECORD }))).toEqual({ ...RECORD });
});

test("a field that a later version added is ignored", () => {
  expect(parseTaskRecord(JSON.stringify({ version: 1, ...RECORD, later: true }))).toEqual({ ...RECORD });
});

test.each([
  ["", "no text"],
  ["{", "no JSON"],
  [JSON.stringify({ ...RECORD, version: 2 }), "another version"],
  [JSON.stringify({ version: 1, task: "web" }), "a part"],
])("%p is not read: %s", (text) => {
  expect(parseTaskRecord(text)).toBeUndefined();
});
