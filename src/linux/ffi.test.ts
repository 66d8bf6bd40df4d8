import { describe, expect, test } from "bun:test";
import { errnoCode } from "../lib/errors";
import { AT_FDCWD } from "./constants";
import { CallError, callError, check, cString, describeErrno, lastErrno, libc } from "./ffi";

/** More than any process may have. */
const NO_FD = 1_000_000;
const MISSING = "/nonexistent/nomad-driver-nspawn";

describe("a string for the C library", () => {
  test.each([
    ["", [0]],
    ["/a", [0x2f, 0x61, 0]],
    ["ä", [0xc3, 0xa4, 0]],
    [Buffer.of(0xff, 0x80), [0xff, 0x80, 0]],
  ])("%j ends with a NUL", (text, bytes) => {
    expect([...cString(text)]).toEqual(bytes);
  });

  test.each(["\0", "/a\0b", Buffer.from("a\0")])("%j with a NUL is refused", (text) => {
    expect(() => cString(text)).toThrow("must not contain a NUL");
  });
});

describe("errors by name", () => {
  test.each([
    [1, "EPERM: operation not permitted"],
    [11, "EAGAIN: resource temporarily unavailable"],
    [22, "EINVAL: invalid argument"],
    [9999, "errno 9999: unknown error"],
  ])("error number %d is %s", (number, text) => {
    expect(describeErrno(number)).toBe(text);
    expect(new CallError("call", number).message).toBe(`call failed: ${text}`);
  });

  test.each([
    ["EBADF", () => libc().syncfs(NO_FD)],
    ["ENOENT", () => libc().mkdirat(AT_FDCWD, cString(MISSING), 0o700)],
    ["EINVAL", () => libc().inotify_init1(-1)],
  ])("a call that failed with %s", (code, call) => {
    expect(call()).toBe(-1);
    expect(lastErrno()[0]).toBe(code);
    expect(call()).toBe(-1);
    const error = callError("call");
    expect([error.code, errnoCode(error)]).toEqual([code, code]);
  });

  test("of the first call of a process, with which the library is opened", () => {
    const program = `import { callError, libc } from "${import.meta.dir}/ffi.ts"; libc().syncfs(${NO_FD}); console.log(callError("syncfs").code);`;
    expect(Bun.spawnSync([process.execPath, "-e", program]).stdout.toString()).toBe("EBADF\n");
  });

  test.each([0, 1, 0n, 7n])("the result %p is none", (result) => {
    check("call", result);
  });

  test.each([-1, -1n])("the result %p is one", (result) => {
    libc().syncfs(NO_FD);
    expect(() => check("syncfs", result)).toThrow("syncfs failed: EBADF: ");
  });
});
