import { describe, expect, test } from "bun:test";
import {
  type BinfmtHandler,
  elfArchitecture,
  emulatedArchitectures,
  handles,
  parseBinfmt,
  scriptInterpreter,
} from "./program-platform";

/** An ELF header with this machine. */
function elf(machine: number, big = false): Buffer {
  const head = Buffer.alloc(64);
  head.write("\x7fELF", "latin1");
  head[4] = 2;
  head[5] = big ? 2 : 1;
  if (big) head.writeUInt16BE(machine, 18);
  else head.writeUInt16LE(machine, 18);
  return head;
}

test.each<[string, Buffer, string | undefined]>([
  ["amd64", elf(62), "amd64"],
  ["arm64", elf(183), "arm64"],
  ["386", elf(3), "386"],
  ["riscv64", elf(243), "riscv64"],
  ["ppc64le", elf(21), "ppc64le"],
  ["ppc64", elf(21, true), "ppc64"],
  ["s390x", elf(22, true), "s390x"],
  ["one that is not known", elf(0xfeed), undefined],
  ["a cut header", elf(62).subarray(0, 19), undefined],
  ["a script", Buffer.from("#!/bin/sh\nexit 0\n# longer than a header\n"), undefined],
  ["nothing", Buffer.alloc(0), undefined],
])("the architecture of a program: %s", (_, head, expected) => expect(elfArchitecture(head)).toBe(expected));

test.each([
  ["#!/bin/sh\n", "/bin/sh"],
  ["#! \t/usr/bin/env python3\n", "/usr/bin/env"],
  ["#!/bin/sh", "/bin/sh"],
  ["#!\n/bin/sh", undefined],
  ["#", undefined],
  ["", undefined],
])("the interpreter of %j", (head, expected) => expect(scriptInterpreter(Buffer.from(head))).toBe(expected));

// As qemu-user-static registers it on Debian 12.
const ARM64 = `enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POCF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
`;

describe("binfmt_misc", () => {
  test("the architectures that run by emulators, if no container needs the emulator's file", () => {
    const handler = parseBinfmt(ARM64);
    const other = parseBinfmt(ARM64.replace("POCF", "POC"));
    expect(emulatedArchitectures(handler === undefined ? [] : [handler])).toEqual(["arm64"]);
    expect(emulatedArchitectures(other === undefined ? [] : [other])).toEqual([]);
  });

  test("a handler of qemu", () => {
    const handler = parseBinfmt(ARM64);
    expect(handler).toMatchObject({ interpreter: "/usr/libexec/qemu-binfmt/aarch64-binfmt-P", fixed: true, offset: 0 });
    const program = elf(183);
    Buffer.from([2, 1, 1]).copy(program, 4);
    program[16] = 3;
    expect(handler !== undefined && handles(handler, program)).toBe(true);
    expect(handler !== undefined && handles(handler, elf(62))).toBe(false);
  });

  test.each<[string, string, BinfmtHandler | undefined]>([
    ["disabled", ARM64.replace("enabled", "disabled"), undefined],
    ["by extension", "enabled\ninterpreter /usr/bin/wine\nflags: \nextension .exe\n", undefined],
    ["the directory's status", "enabled\n", undefined],
    ["nothing", "", undefined],
    [
      "without flags and mask",
      "enabled\ninterpreter /usr/bin/x\nflags: \noffset 4\nmagic cafe\n",
      { interpreter: "/usr/bin/x", fixed: false, offset: 4, magic: Buffer.from("cafe", "hex"), mask: undefined },
    ],
  ])("%s", (_, text, expected) => expect(parseBinfmt(text)).toEqual(expected));

  test("a magic number at an offset", () => {
    const handler = parseBinfmt("enabled\ninterpreter /x\nflags: \noffset 2\nmagic cafe\nmask f0ff\n");
    const at = (bytes: readonly number[]) => handler !== undefined && handles(handler, Buffer.from(bytes));
    expect(at([0, 0, 0xc0, 0xfe])).toBe(true);
    expect(at([0, 0, 0xca, 0xff])).toBe(false);
    expect(at([0, 0, 0xda, 0xfe, 1])).toBe(false);
    expect(at([0, 0, 0xc0])).toBe(false);
  });
});
