import { expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import { decodeTaskState, encodeTaskState } from "./task-handle";

const state = {
  ref: { supervisor: "systemd", machine: "web-1", mode: "pid1", bootId: "b" },
  startedAt: 1700000000123,
} as const;

test("a task's state survives the handle", () => {
  expect(decodeTaskState(encodeTaskState(state))).toMatchObject(state);
});

test.each([
  ["nothing", new Uint8Array()],
  ["the Go driver's state", encode({ ReattachConfig: null, MachineName: "x", StartedAt: 1 })],
  ["a newer version", encode({ version: 2, ...state })],
  ["another supervisor", encode({ version: 1, ...state, ref: { ...state.ref, supervisor: "magic" } })],
])("%s is rejected with a message", (_name, bytes) => {
  expect(() => decodeTaskState(bytes)).toThrow("was not written by this version");
});
