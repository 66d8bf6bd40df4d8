import { afterAll, beforeAll, expect, test } from "bun:test";
import { closeSync, openSync, renameSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeNow } from "./scratch";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "temporary-"));
});
afterAll(() => rm(scratch, { recursive: true }));

test("removes a directory completely, also while another process that has it open writes into it", async () => {
  const trash = join(scratch, "tmp");
  await mkdir(trash);
  for (let round = 0; round < 300; round += 1) {
    const layer = join(scratch, "layer");
    await mkdir(join(layer, "files"), { recursive: true });
    for (let file = 0; file < 30; file += 1) writeFileSync(join(layer, `files/${file}`), "");
    const fd = openSync(layer, "r");
    const record = `/proc/self/fd/${fd}/record`;
    const removed = removeNow(layer, trash);
    for (let write = 0; write < 6; write += 1) {
      try {
        writeFileSync(`${record}.new`, "");
        renameSync(`${record}.new`, record);
      } catch {
        // It is gone.
      }
      await new Promise(setImmediate);
    }
    await removed;
    closeSync(fd);
  }
  expect(await readdir(trash)).toEqual([]);
});
