import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { watchNspawn } from "./watch-nspawn";

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
