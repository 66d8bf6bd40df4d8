import { describe, expect, test } from "bun:test";
import { closeSync, fstatSync } from "node:fs";
import { mkdir, mkdtemp, realpath, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../tools/command";
import { openWithoutSymlinks } from "../linux/rooted-path";
import { type LogFacts, logProblem, openByNames } from "./log-file";

const kinds = {
  fifo: "isFIFO",
  character: "isCharacterDevice",
  symlink: "isSymbolicLink",
  directory: "isDirectory",
  file: "isFile",
  socket: "isSocket",
  block: "isBlockDevice",
} as const;

function facts(kind: keyof typeof kinds, more: Partial<Pick<LogFacts, "rdev" | "uid" | "nlink">> = {}): LogFacts {
  const is = (wanted: string) => () => kinds[kind] === wanted;
  return {
    isFIFO: is("isFIFO"),
    isCharacterDevice: is("isCharacterDevice"),
    isSymbolicLink: is("isSymbolicLink"),
    isDirectory: is("isDirectory"),
    isFile: is("isFile"),
    isSocket: is("isSocket"),
    rdev: 0,
    uid: 0,
    nlink: 1,
    ...more,
  };
}

describe("logProblem", () => {
  test.each([
    ["a FIFO of root's", facts("fifo"), [0], undefined],
    ["a FIFO with another owner", facts("fifo", { uid: 524_288 }), [0, 524_288], undefined],
    ["any user's FIFO if any owner is allowed", facts("fifo", { uid: 7 }), undefined, undefined],
    ["the null device", facts("character", { rdev: 259 }), [0], undefined],
    ["the null device of a user", facts("character", { rdev: 259, uid: 7, nlink: 2 }), [0], undefined],
    ["a FIFO of another user", facts("fifo", { uid: 1000 }), [0, 524_288], "is a FIFO of user 1000"],
    ["a FIFO with another link", facts("fifo", { nlink: 2 }), undefined, "is a FIFO with 2 links"],
    ["a symlink", facts("symlink"), [0], "is a symlink"],
    ["a directory", facts("directory"), [0], "is a directory"],
    ["a file", facts("file"), [0], "is a regular file"],
    ["a socket", facts("socket"), [0], "is a socket"],
    ["another device", facts("character", { rdev: 257 }), [0], "is a device"],
    ["a disk with the numbers of the null device", facts("block", { rdev: 259 }), undefined, "is a device"],
  ] as const)("%s", (_name, found, owners, problem) => expect(logProblem(found, owners)).toBe(problem));
});

describe("openByNames, if the agent's seccomp filter forbids openat2(2),", () => {
  test("opens the same paths as openat2, and follows no symlink", async () => {
    const root = await realpath(await mkdtemp(join(tmpdir(), "log-file-")));
    try {
      await mkdir(join(root, "logs"));
      await run(["mkfifo", join(root, "logs/fifo")]);
      await symlink("logs", join(root, "linked"));
      const byName = openByNames(join(root, "logs/fifo"));
      const atOnce = openWithoutSymlinks(join(root, "logs/fifo"), 0o10000000);
      try {
        expect(fstatSync(byName).ino).toBe(fstatSync(atOnce ?? -1).ino);
      } finally {
        for (const fd of [byName, atOnce ?? -1]) closeSync(fd);
      }
      expect(openWithoutSymlinks(join(root, "linked/fifo"), 0o10000000)).toBeUndefined();
      expect(() => openByNames(join(root, "linked/fifo"))).toThrow(/linked is a symlink, not a directory/);
      expect(() => openByNames(join(root, "gone/fifo"))).toThrow(/gone does not exist/);
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  });
});
