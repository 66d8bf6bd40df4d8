import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findNspawn, readNspawn, watchNspawn } from "./installation";

describe("nspawn-version", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "nspawn-version-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const program = (text: string, mode = 0o755) =>
    writeFileSync(join(directory, "systemd-nspawn"), `#!/bin/sh\n${text}\n`, { mode });

  test("finds the installed program and its version", async () => {
    const installed = await readNspawn();
    expect(installed?.path).toStartWith("/");
    expect(installed?.version).toBeGreaterThanOrEqual(249);
  });

  test("not installed, not executable, or a directory", () => {
    expect(findNspawn([directory])).toBeUndefined();
    program("", 0o644);
    expect(findNspawn([directory])).toBeUndefined();
    rmSync(join(directory, "systemd-nspawn"));
    mkdirSync(join(directory, "systemd-nspawn"));
    expect(findNspawn([directory])).toBeUndefined();
  });

  test("reads the version from the program that was found", async () => {
    program("echo 'systemd 260 (260.1)'");
    expect(await readNspawn([directory])).toEqual({ path: join(directory, "systemd-nspawn"), version: 260 });
  });

  test("calls that come together run it once, and another file is read again", async () => {
    const runs = join(directory, "runs");
    program(`echo run >> ${runs}; echo 'systemd 260 (260.1)'`);
    const both = await Promise.all([readNspawn([directory]), readNspawn([directory])]);
    expect(both.map((installed) => installed?.version)).toEqual([260, 260]);
    expect(readFileSync(runs, "utf8")).toBe("run\n");
    rmSync(join(directory, "systemd-nspawn"));
    program("echo 'systemd 261 (261.12)'");
    expect((await readNspawn([directory]))?.version).toBe(261);
  });

  test("after a failure it is run again", async () => {
    program("exit 1");
    await expect(readNspawn([directory])).rejects.toThrow("exit code 1");
    await expect(readNspawn([directory])).rejects.toThrow("exit code 1");
  });

  test("a broken program is reported with its output", async () => {
    program("echo broken libraries >&2; exit 127");
    await expect(readNspawn([directory])).rejects.toThrow(
      /cannot parse the output of .*--version \(exit code 127\): broken libraries/,
    );
  });
});

describe("watch-nspawn", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "watch-nspawn-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  /** A watch whose next notification can be awaited. */
  function watching() {
    let count = 0;
    let next = Promise.withResolvers<void>();
    const stop = watchNspawn(() => {
      count += 1;
      next.resolve();
      next = Promise.withResolvers<void>();
    }, [directory, join(directory, "missing")]);
    return { stop, notice: () => next.promise, count: () => count };
  }

  test("installation and removal are each noticed once; other programs are ignored", async () => {
    const watch = watching();
    try {
      writeFileSync(join(directory, "other"), "");
      const installed = watch.notice();
      writeFileSync(join(directory, "systemd-nspawn.dpkg-new"), "");
      renameSync(join(directory, "systemd-nspawn.dpkg-new"), join(directory, "systemd-nspawn"));
      await installed;
      const removed = watch.notice();
      rmSync(join(directory, "systemd-nspawn"));
      await removed;
      writeFileSync(join(directory, "another"), "");
      await Bun.sleep(400);
      expect(watch.count()).toBe(2);
    } finally {
      watch.stop();
    }
  });
});
