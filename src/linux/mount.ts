import { dlopen, FFIType, ptr } from "bun:ffi";
import { constants, openSync, readFileSync } from "node:fs";
import { describeErrno, errnoSymbol, lastErrno } from "./ffi";
import { O_PATH } from "./files";

/** Mount calls that Node's API lacks. */

const SYS_MOVE_MOUNT = 429;
const AT_FDCWD = -100;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const NO_FLAGS = 0;
const EINVAL = 22;

type Calls = ReturnType<typeof open>;
let library: Calls | undefined;

function open() {
  return dlopen("libc.so.6", {
    mount: {
      args: [FFIType.cstring, FFIType.cstring, FFIType.cstring, FFIType.u64, FFIType.cstring],
      returns: FFIType.i32,
    },
    syscall: { args: Array.from({ length: 6 }, () => FFIType.i64), returns: FFIType.i64 },
    ...errnoSymbol,
  }).symbols;
}

function calls(): Calls {
  library ??= open();
  return library;
}

/** A mount that the kernel refused, with its error number (errno(3)). */
export class MountError extends Error {
  override readonly name = "MountError";
  readonly errno: number;

  constructor(message: string, errno: number) {
    super(message);
    this.errno = errno;
  }

  /** EINVAL stands for most reasons: something cannot be part of such a mount. */
  get invalid(): boolean {
    return this.errno === EINVAL;
  }
}

function text(value: string): Buffer {
  if (value.includes("\0")) throw new Error(`A path must not contain a NUL character: ${JSON.stringify(value)}.`);
  return Buffer.from(`${value}\0`);
}

/** A location as a descriptor that no child inherits; a symlink as last component is not followed. */
export function openPath(path: string): number {
  return openSync(path, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}

/**
 * Mounts a file system.
 *
 * @param data mount options, at most a page long
 * @throws MountError
 */
export function mount(source: string, target: string, type: string, data: string): void {
  const [from, to, kind, options] = [text(source), text(target), text(type), text(data)];
  if (calls().mount(from, to, kind, NO_FLAGS, options) === 0) return;
  const number = lastErrno(calls());
  throw new MountError(
    `mounting ${type} on ${target} failed: ${describeErrno(number)} (dmesg may have details)`,
    number,
  );
}

/** Attaches a detached mount at a path. @throws MountError */
export function attachMount(detached: number, target: string): void {
  const [empty, to] = [text(""), text(target)];
  const result = calls().syscall(SYS_MOVE_MOUNT, detached, ptr(empty), AT_FDCWD, ptr(to), MOVE_MOUNT_F_EMPTY_PATH);
  if (result === 0n || Number(result) === 0) return;
  const number = lastErrno(calls());
  throw new MountError(`mounting on ${target} failed: ${describeErrno(number)}`, number);
}

/** One line of /proc/PID/mountinfo. */
export interface Mount {
  readonly id: number;
  /** The part of the file system that is mounted. */
  readonly root: string;
  readonly path: string;
  readonly type: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** Parses mountinfo (proc_pid_mountinfo(5)); invalid lines are skipped. */
export function parseMounts(text: string): readonly Mount[] {
  return text.split("\n").flatMap((line) => {
    const fields = line.split(" ");
    const separator = fields.indexOf("-", 6);
    const [id, , , root, path] = fields;
    const [type, source, superOptions] = separator < 0 ? [] : fields.slice(separator + 1);
    if (id === undefined || root === undefined || path === undefined) return [];
    if (type === undefined || source === undefined) return [];
    return [
      {
        id: Number(id),
        root: unescapeOctal(root),
        path: unescapeOctal(path),
        type,
        source: unescapeOctal(source),
        superOptions: superOptions?.split(",") ?? [],
      },
    ];
  });
}

/** The mounts of this process's namespace. */
export function readMounts(): readonly Mount[] {
  return parseMounts(readFileSync("/proc/self/mountinfo", "utf8"));
}

/** The kernel writes space, tab, line end and backslash as three octal digits. */
function unescapeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
