import { describe, expect, test } from "bun:test";
import type { ProcessTable } from "../linux/proc";
import { type PayloadMode, WRAPPER } from "./payload";
import { ContainerSearch, findLeader, findPayload, findStartedPayload, signalPayload } from "./processes";

/** [pid, parent, PIDs from outside in, program, name and arguments, state] */
type Row = readonly [number, number, readonly number[], string, string?];

function table(rows: readonly Row[]): ProcessTable {
  const row = (pid: number) => rows.find(([own]) => own === pid);
  return {
    stat: (pid) => {
      const found = row(pid);
      return found && { pid, parent: found[1], state: found[4] ?? "S", startTime: pid * 10 };
    },
    namespacePids: (pid) => row(pid)?.[2] ?? [],
    children: (pid) => rows.filter(([, parent]) => parent === pid).map(([own]) => own),
    program: (pid) => row(pid)?.[3]?.split(" ")[0],
    arguments: (pid) => (row(pid)?.[3] === "at exec" ? "" : row(pid)?.[3]?.split(" ").slice(2).join(" ") || "program"),
    name: (pid) => row(pid)?.[3]?.split(" ")[1] ?? "",
  };
}

const nspawn: Row = [100, 1, [100], "nspawn"];
const outer: Row = [101, 100, [101], "nspawn"];
const stub: Row = [102, 100, [102, 1], "nspawn (sd-stubinit)"];
const leader = (parent: number, program = "init"): Row => [102, parent, [102, 1], program];

const cases: readonly (readonly [string, PayloadMode, readonly Row[], readonly (number | undefined)[]])[] = [
  // leader, payload, started payload
  ["gone", "boot", [], [undefined, undefined, undefined]],
  ["nothing forked yet", "boot", [nspawn], [undefined, undefined, undefined]],
  ["only the outer child", "pid1", [nspawn, outer], [undefined, undefined, undefined]],
  [
    "the outer child is still there, before the exec",
    "pid1",
    [nspawn, outer, leader(101, "nspawn")],
    [102, 102, undefined],
  ],
  ["adopted, before the exec", "boot", [nspawn, leader(100, "nspawn")], [102, 102, undefined]],
  [
    "the payload is a systemd-nspawn itself",
    "pid1",
    [nspawn, leader(100, "nspawn systemd-nspawn --directory=/inner")],
    [102, 102, 102],
  ],
  [
    "the driver's program, before it becomes the payload",
    "pid1",
    [nspawn, leader(100, `own start ${WRAPPER}\0/bin/sh\0`)],
    [102, 102, undefined],
  ],
  ["within its exec", "pid1", [nspawn, leader(100, "at exec")], [102, 102, undefined]],
  ["running", "boot", [nspawn, leader(100)], [102, 102, 102]],
  ["a zombie", "boot", [nspawn, [102, 100, [102, 1], "init", "Z"]], [undefined, undefined, undefined]],
  ["stub init without its child", "pid2", [nspawn, stub], [102, undefined, undefined]],
  ["PID 2 before its exec", "pid2", [nspawn, stub, [103, 102, [103, 2], "nspawn"]], [102, 103, undefined]],
  [
    "PID 2 among orphans",
    "pid2",
    [nspawn, stub, [90, 102, [90, 7], "orphan"], [103, 102, [103, 2], "app"]],
    [102, 103, 103],
  ],
  [
    "PID 2 exited and not reaped, orphans left",
    "pid2",
    [nspawn, stub, [90, 102, [90, 7], "orphan"], [103, 102, [103, 2], "app", "Z"]],
    [102, undefined, undefined],
  ],
  [
    "getent, before the stub init exists",
    "pid2",
    [nspawn, leader(100, "nspawn"), [103, 102, [103, 2], "getent"]],
    [102, undefined, undefined],
  ],
  [
    "after getent had PID 2",
    "pid2",
    [nspawn, [102, 100, [102, 1], "nspawn STUBINIT"], [104, 102, [104, 3], "app"], [90, 102, [90, 7], "orphan"]],
    [102, 104, 104],
  ],
  [
    "systemd-nspawn itself in a PID namespace",
    "pid1",
    [
      [100, 1, [100, 5], "nspawn"],
      [102, 100, [102, 6, 1], "app"],
    ],
    [102, 102, 102],
  ],
  [
    "a container within the container is ignored",
    "pid1",
    [nspawn, leader(100, "app"), [104, 102, [104, 3, 1], "inner"]],
    [102, 102, 102],
  ],
];

describe("from systemd-nspawn to the payload", () => {
  test.each(cases)("%s (%s)", (_, mode, rows, [wantLeader, wantPayload, wantStarted]) => {
    const processes = table(rows);
    expect(findLeader(100, processes)?.pid).toBe(wantLeader);
    expect(findPayload(100, mode, processes)?.pid).toBe(wantPayload);
    expect(findStartedPayload(100, mode, processes)?.pid).toBe(wantStarted);
  });

  test("the identity carries the start time", () => {
    expect(findLeader(100, table([nspawn, leader(100)]))).toEqual({ pid: 102, startTime: 1020 });
  });
});

test("a repeated search notices the exec, and looks at the program of a copy only sometimes", () => {
  let payload = leader(100, "nspawn");
  const processes = () => table([nspawn, payload]);
  let looks = 0;
  const search = new ContainerSearch(100, "pid1", {
    ...processes(),
    program: (pid) => {
      if (pid === 102) looks += 1;
      return processes().program(pid);
    },
    arguments: (pid) => processes().arguments(pid),
  });
  for (let times = 0; times < 8; times += 1) expect(search.started()).toBeUndefined();
  expect(looks).toBe(3);
  payload = leader(100, "app app --serve");
  expect(search.started()?.pid).toBe(102);
  // The same arguments, but another program.
  payload = leader(100, "nspawn");
  search.started();
  payload = leader(100, "app");
  expect([1, 2, 3, 4].map(() => search.started()?.pid)).toContain(102);
});

test("the wait for a process without a container has a deadline and ends with an error message", async () => {
  const child = Bun.spawn(["/bin/sleep", "60"]);
  try {
    await expect(signalPayload(child.pid, "pid1", 15, { timeoutMs: 30 })).rejects.toThrow(
      /Cannot send SIGTERM: .*within 0.03 s/,
    );
    child.kill(9);
    await child.exited;
    await signalPayload(child.pid, "pid1", 15, { timeoutMs: 30 });
  } finally {
    child.kill(9);
    await child.exited;
  }
});
