import { expect, test } from "bun:test";
import { bytesLike, fuzz, jsonLike } from "../../test/support/fuzz";
import { parseRecord, RecordError } from "../network/private/records";
import { decodeTaskState, encodeTaskState, HandleError } from "./task-handle";

const state = {
  ref: { supervisor: "systemd", machine: "machine", mode: "pid1", bootId: "boot" },
  startedAt: 1_700_000_000_000,
} as const;

test("any task handle is decoded or rejected", () => {
  expect(decodeTaskState(encodeTaskState(state))).toMatchObject(state);
  fuzz(bytesLike(encodeTaskState(state)), decodeTaskState, [HandleError], 5_000);
});

test("any network record is decoded or rejected", () => {
  const record = {
    machine: "machine",
    link: "veth",
    ports: [{ label: "http", hostPort: 80, containerPort: 8080 }],
    given: { ipv4: { host: "10.0.0.1/30", container: "10.0.0.2/30" } },
    addresses: ["10.0.0.2/30"],
    targets: [],
    since: 1,
  };
  expect(parseRecord("/record", JSON.stringify(record)).machine).toBe("machine");
  fuzz(jsonLike(record), (text) => parseRecord("/record", text), [RecordError]);
});
