import { ptr } from "bun:ffi";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { closeSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AF, SOCK } from "../linux/constants";
import { cString, libc } from "../linux/ffi";
import { StartNotice } from "./start-notice";

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "start-notice-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Sends a datagram to a path; false if it is refused. */
function send(path: string, text: string): boolean {
  const fd = libc().socket(AF.unix, SOCK.dgram | SOCK.cloexec, 0);
  const address = Buffer.concat([Buffer.alloc(2), cString(path)]);
  address.writeUInt16LE(AF.unix, 0);
  const message = Buffer.from(text);
  const sent = Number(libc().sendto(fd, ptr(message), message.length, 0, ptr(address), address.length));
  closeSync(fd);
  return sent === message.length;
}

test("arrives with the first message, and refuses others then", () => {
  const path = join(directory, "notify");
  using notice = StartNotice.open(path);
  expect(notice?.arrived()).toBe(false);
  expect(send(path, "STATUS=Container running.\n")).toBe(true);
  expect([notice?.arrived(), notice?.arrived()]).toEqual([true, true]);
  expect(send(path, "STOPPING=1")).toBe(false);
});

test("counts as arrived when it is closed, so that no search waits for it", () => {
  const notice = StartNotice.open(join(directory, "closed"));
  notice?.[Symbol.dispose]();
  expect(notice?.arrived()).toBe(true);
});

test.each(["absent/notify", "x".repeat(200), "."])("does not exist at %s, where no socket can be made", (name) => {
  expect(StartNotice.open(join(directory, name))).toBeUndefined();
});
