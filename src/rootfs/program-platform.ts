import { closeSync, readdirSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import type { TaskOptions } from "../config/task/options";
import { programPaths } from "../exec/session-plan";
import { hostPlatform } from "../image/platform";
import { ConfigError, ifThere } from "../lib/errors";
import { existsInTree, openFileInTree, type TreeRoot } from "../linux/rooted-path";

/** The architectures by e_machine (elf(5), linux/elf-em.h), in Go's terms. */
const MACHINES: Readonly<Record<number, string>> = {
  3: "386",
  8: "mips",
  20: "ppc",
  21: "ppc64",
  22: "s390x",
  40: "arm",
  62: "amd64",
  183: "arm64",
  243: "riscv64",
  258: "loong64",
};
/** What a kernel runs besides its own architecture. */
const ALSO: Readonly<Record<string, readonly string[]>> = { amd64: ["386"], arm64: ["arm"] };

/** The init systems that systemd-nspawn looks for with `--boot` (nspawn.c, inner_child()). */
const INITS = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/sbin/init"];
const HEAD_BYTES = 256;
/** The kernel follows as many `#!` lines (fs/exec.c). */
const MAX_SCRIPTS = 4;
const BINFMT = "/proc/sys/fs/binfmt_misc";

/** The architecture that a program is for; undefined if it is not an ELF file, or for one that is not known here. */
export function elfArchitecture(head: Buffer): string | undefined {
  if (head.length < 20 || head.readUInt32BE(0) !== 0x7f454c46) return undefined;
  const little = head[5] === 1;
  const machine = MACHINES[little ? head.readUInt16LE(18) : head.readUInt16BE(18)];
  return machine === "ppc64" && little ? "ppc64le" : machine;
}

/** The interpreter of a script; undefined if it is none (execve(2), "Interpreter scripts"). */
export function scriptInterpreter(head: Buffer): string | undefined {
  return /^#![ \t]*([^\s\0]+)/.exec(head.toString("latin1"))?.[1];
}

/** A handler of programs that the kernel cannot run itself (the kernel's documentation, admin-guide/binfmt-misc.rst). */
export interface BinfmtHandler {
  readonly interpreter: string;
  /** Whether the interpreter was opened when it was registered, so that a container need not have it. */
  readonly fixed: boolean;
  readonly offset: number;
  readonly magic: Buffer;
  readonly mask: Buffer | undefined;
}

/** Parses a file of binfmt_misc; undefined for a handler that is disabled, or that goes by a file's extension. */
export function parseBinfmt(text: string): BinfmtHandler | undefined {
  const field = (name: string) => new RegExp(`^${name} *(.*)$`, "m").exec(text)?.[1];
  const [interpreter, magic, mask] = [field("interpreter"), field("magic"), field("mask")];
  if (!text.startsWith("enabled") || interpreter === undefined || magic === undefined) return undefined;
  return {
    interpreter,
    fixed: field("flags:")?.includes("F") ?? false,
    offset: Number(field("offset") ?? 0),
    magic: Buffer.from(magic, "hex"),
    mask: mask === undefined ? undefined : Buffer.from(mask, "hex"),
  };
}

/** Whether a handler takes a program that begins with these bytes. */
export function handles({ offset, magic, mask }: BinfmtHandler, head: Buffer): boolean {
  if (head.length < offset + magic.length) return false;
  return magic.every((byte, index) => (((head[offset + index] ?? 0) ^ byte) & (mask?.[index] ?? 0xff)) === 0);
}

/**
 * Refuses a program for another CPU, which the container's shell would report as "not found". What counts is the program itself: images
 * are often labelled with the platform of the machine where they were made.
 *
 * @throws ConfigError that names both platforms
 */
export function refuseForeignProgram(
  tree: TreeRoot,
  options: Pick<TaskOptions, "image" | "boot" | "command" | "environment">,
): void {
  const [command = ""] = options.command;
  const paths = options.boot ? INITS : programPaths(command, options.environment);
  let path = paths.find((each) => each.startsWith("/") && existsInTree(tree, each));
  for (let scripts = 0; path !== undefined && scripts <= MAX_SCRIPTS; scripts += 1) {
    const head = headOf(tree, path);
    const its = elfArchitecture(head);
    const { os, architecture } = hostPlatform();
    if (
      its !== undefined &&
      its !== architecture &&
      ALSO[architecture]?.includes(its) !== true &&
      !emulated(tree, head)
    ) {
      throw new ConfigError(
        `The image ${JSON.stringify(options.image)} cannot run here: its program ${JSON.stringify(path)} is for ${os}/${its}, and this client is ${os}/${architecture}. Use an image for ${os}/${architecture}, or install an emulator for ${its} on this client that is registered with binfmt_misc (Debian: qemu-user-static).`,
      );
    }
    path = its === undefined ? scriptInterpreter(head) : undefined;
  }
}

function emulated(tree: TreeRoot, head: Buffer): boolean {
  return registeredHandlers().some(
    (handler) => handles(handler, head) && (handler.fixed || existsInTree(tree, handler.interpreter)),
  );
}

/** The enabled handlers of this client. */
function registeredHandlers(): readonly BinfmtHandler[] {
  const names = ifThere(() => readdirSync(BINFMT), []).filter((name) => name !== "register" && name !== "status");
  return names.flatMap((name) => parseBinfmt(ifThere(() => readFileSync(join(BINFMT, name), "utf8"), "")) ?? []);
}

/** The beginnings of programs: e_machine, the bits of the class, and the byte order. */
const PROGRAMS = [
  [3, 32, "LE"],
  [40, 32, "LE"],
  [62, 64, "LE"],
  [183, 64, "LE"],
  [243, 64, "LE"],
  [21, 64, "LE"],
  [258, 64, "LE"],
  [22, 64, "BE"],
] as const;

/** The architectures whose programs run in any container by an emulator of this client, in Go's terms. */
export function emulatedArchitectures(handlers: readonly BinfmtHandler[] = registeredHandlers()): readonly string[] {
  return PROGRAMS.flatMap(([machine, bits, order]) => {
    const head = Buffer.alloc(64);
    Buffer.from([0x7f, 0x45, 0x4c, 0x46, bits / 32, order === "LE" ? 1 : 2, 1]).copy(head);
    const write = (value: number, at: number) =>
      order === "LE" ? head.writeUInt16LE(value, at) : head.writeUInt16BE(value, at);
    // An executable (e_type) for that machine.
    write(2, 16);
    write(machine, 18);
    const name = elfArchitecture(head);
    return name !== undefined && handlers.some((each) => each.fixed && handles(each, head)) ? [name] : [];
  });
}

/** The first bytes of a regular file of an untrusted tree; none of anything else. */
function headOf(tree: TreeRoot, path: string): Buffer {
  const fd = openFileInTree(tree, path);
  if (fd === undefined) return Buffer.alloc(0);
  using open = new DisposableStack();
  open.adopt(fd, closeSync);
  const head = Buffer.alloc(HEAD_BYTES);
  return head.subarray(0, readSync(fd, head));
}
