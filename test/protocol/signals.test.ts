import { describe, expect, test } from "bun:test";
import { signalName, signalNumber } from "../../src/values/signals";
import { type Fixture, failure, shell, useFixture } from "./fixture";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

/** KILL and STOP cannot be caught; 32 and 33 belong to the C library, and busybox's shell uses CHLD itself. */
const catchable = Array.from({ length: 64 }, (_, index) => index + 1).filter(
  (signal) => ![9, 17, 19, 32, 33].includes(signal),
);

describe("signals", () => {
  test.each([{}, { process_two: true }])("each is delivered, and only by its name (%j)", async (more) => {
    const traps = catchable.map((signal) => `trap 'echo got ${signal}.' ${signal}`).join("; ");
    const task = await bench.started(shell(bench.busybox, `${traps}; echo up; while :; do sleep 0.05; done`, more));
    await task.stdout.waitFor("up");
    for (const signal of catchable) {
      const name = signalName(signal);
      expect(signalNumber(name)).toBe(signal);
      await bench.client().signalTask(task.id, name);
      await task.stdout.waitFor(`got ${signal}.\n`);
    }
    const got = [...task.stdout.text().matchAll(/got \d+\./g)].map(([text]) => text);
    expect(got).toEqual(catchable.map((signal) => `got ${signal}.`));
    for (const name of ["SIGNOPE", "", "65", "SIGRTMIN+31"]) {
      expect(await failure(bench.client().signalTask(task.id, name))).toContain("Unknown signal");
    }
  });

  test("a task that has exited ignores signals without an error", async () => {
    const task = await bench.started(shell(bench.busybox, "exit 3"));
    await bench.client().waitTask(task.id);
    await bench.client().signalTask(task.id, "SIGTERM");
    await bench.client().stopTask(task.id, { timeout: 60_000 });
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 3, signal: 0 });
  });
});

describe("stop", () => {
  const stubborn = "trap '' INT TERM; echo up; while :; do sleep 0.1; done";

  test.each([0, 10, 40, 80])("%d ms after the start, in the middle of it", async (delay) => {
    const task = await bench.started(shell(bench.busybox, "trap 'exit 4' TERM; while :; do sleep 0.1; done"));
    await Bun.sleep(delay);
    const start = performance.now();
    // The kernel drops a SIGTERM to PID 1 before its shell has set the trap: the driver sends it again.
    await bench.client().stopTask(task.id, { timeout: 60_000 });
    expect(performance.now() - start).toBeLessThan(50_000);
    const { result } = await bench.client().waitTask(task.id);
    expect(result).toMatchObject({ exitCode: 4, signal: 0 });
    await bench.client().destroyTask(task.id);
  });

  test("SIGTERM to systemd-nspawn, as a shutdown sends it, is the stop signal for a program that is PID 1", async () => {
    const task = await bench.started(
      shell(bench.busybox, "trap 'echo bye; exit 4' TERM; echo up; while :; do sleep 0.1; done"),
    );
    await task.stdout.waitFor("up");
    const { driver } = await bench.client().inspectTask(task.id);
    process.kill(Number(driver?.attributes["pid"]), "SIGTERM");
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 4, signal: 0 });
    expect(await task.stdout.ended()).toContain("bye");
  });

  test("with a timeout of 0 kills at once", async () => {
    const task = await bench.started(shell(bench.busybox, stubborn));
    await task.stdout.waitFor("up");
    await bench.client().stopTask(task.id, { timeout: 0 });
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 0, signal: 9 });
  });

  test("with a timeout longer than any timer supports waits for the task", async () => {
    const task = await bench.started(
      shell(bench.busybox, "trap 'sleep 0.5; exit 6' TERM; echo up; while :; do sleep 0.1; done"),
    );
    await task.stdout.waitFor("up");
    await bench.client().stopTask(task.id, { signal: "SIGTERM", timeout: 40 * 86_400_000 });
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 6, signal: 0 });
  });

  test("while a stop with a long timeout waits, a second stop can be harsher", async () => {
    const task = await bench.started(shell(bench.busybox, stubborn));
    await task.stdout.waitFor("up");
    const patient = bench.client().stopTask(task.id, { timeout: 60_000 });
    await bench.client().stopTask(task.id, { timeout: 100 });
    await patient;
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ signal: 9 });
  });

  test("destroy requires force while the task runs, and accepts it", async () => {
    const task = await bench.started(shell(bench.busybox, stubborn));
    await task.stdout.waitFor("up");
    expect(await failure(bench.client().destroyTask(task.id))).toContain("cannot destroy running task");
    const waiting = bench.client().waitTask(task.id);
    await Promise.all([bench.client().destroyTask(task.id, true), failure(bench.client().destroyTask(task.id, true))]);
    expect((await waiting).result).toMatchObject({ signal: 9 });
    expect(await failure(bench.client().inspectTask(task.id))).toContain("task not found for given id");
  });
});
