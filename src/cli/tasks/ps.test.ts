import { expect, test } from "bun:test";
import { withoutVariables } from "./inspect";
import { psText, taskJson } from "./ps";
import type { ListedTask } from "./read-tasks";

const OLD: ListedTask = {
  machine: "web-4be1e5b0-8b1c-0d44-9ad4-3a0f6e5a9a52",
  client: "/var/nomad/alloc",
  state: "restarting",
  supervisor: "process",
  unit: undefined,
  nspawnPid: undefined,
  leader: undefined,
  memory: undefined,
  addresses: ["10.213.0.2"],
  startedAt: 1_000,
  record: undefined,
};

test("a task of an earlier version of the driver has its machine, allocation and state", () => {
  const [, row] = psText([OLD], 61_000).split("\n");
  expect(row?.split(/ {2,}/)).toEqual([
    ...["-", "-", "-", "4be1e5b0", "-", "restarting", "-", "-", "1 min", "10.213.0.2"],
    OLD.machine,
  ]);
  expect(taskJson(OLD)).toMatchObject({
    job: null,
    alloc_id: OLD.machine.slice(4),
    started_at: "1970-01-01T00:00:01.000Z",
  });
});

test("values of variables and credentials are left out of a command line, but not of the job's command", () => {
  const argv = ["systemd-nspawn", "--setenv=A=s3cret", "--setenv=B", "--set-credential=c:s3cret", "--", "--setenv=A=1"];
  expect(withoutVariables(argv)).toEqual([
    ...["systemd-nspawn", "--setenv=A", "--setenv=B", "--set-credential=c"],
    ...["--", "--setenv=A=1"],
  ]);
});
