import { ptr } from "bun:ffi";
import { closeSync, constants, openSync, readFileSync, readSync } from "node:fs";
import { AT_EMPTY_PATH, AT_FDCWD, O_CLOEXEC, O_PATH, SYS } from "./constants";
import { cString, lastErrno, libc } from "./ffi";

/** Mount calls that Node's API lacks. */

const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const OPEN_TREE_CLONE = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOUNT_ATTR_IDMAP = 0x100000n;
const NO_FLAGS = 0;

/** A mount that the kernel refused, with a code such as "EINVAL". */
export class MountError extends Error {
  override readonly name = "MountError";

  constructor(
    message: string,
    readonly code: string,
  ) {
    super(message);
  }

  /** EINVAL stands for most reasons: something cannot be part of such a mount. */
  get invalid(): boolean {
    return this.code === "EINVAL";
  }
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
  const [from, to, kind, options] = [cString(source), cString(target), cString(type), cString(data)];
  if (libc().mount(from, to, kind, NO_FLAGS, options) === 0) return;
  const [code, meaning] = lastErrno();
  throw new MountError(`mounting ${type} on ${target} failed: ${code}: ${meaning} (dmesg may have details)`, code);
}

/** Detaches the topmost mount at a path without following a symlink there; false if that failed. */
export function detachMount(path: string): boolean {
  return libc().umount2(cString(path), MNT_DETACH | UMOUNT_NOFOLLOW) === 0;
}

/**
 * A detached copy of the mount at a path, as a descriptor; it is unmounted when the descriptor is closed (open_tree(2)).
 * Undefined if the kernel refuses it.
 */
export function detachedMount(path: string): number | undefined {
  const name = cString(path);
  const fd = Number(libc().syscall(SYS.open_tree, AT_FDCWD, ptr(name), OPEN_TREE_CLONE | O_CLOEXEC, 0, 0));
  return fd >= 0 ? fd : undefined;
}

/** Attaches a detached mount at a path. @throws MountError */
export function attachMount(detached: number, target: string): void {
  const [empty, to] = [cString(""), cString(target)];
  const result = libc().syscall(SYS.move_mount, detached, ptr(empty), AT_FDCWD, ptr(to), MOVE_MOUNT_F_EMPTY_PATH);
  if (Number(result) === 0) return;
  const [code, meaning] = lastErrno();
  throw new MountError(`mounting on ${target} failed: ${code}: ${meaning}`, code);
}

/**
 * Maps the owners of a detached mount's files by a user namespace (mount_setattr(2), MOUNT_ATTR_IDMAP); false if the kernel or
 * file system cannot.
 */
export function mapMountOwners(mount: number, userNamespace: number): boolean {
  const attributes = new BigUint64Array([MOUNT_ATTR_IDMAP, 0n, 0n, BigInt(userNamespace)]);
  const [here, size] = [cString(""), attributes.byteLength];
  return Number(libc().syscall(SYS.mount_setattr, mount, ptr(here), AT_EMPTY_PATH, ptr(attributes), size)) === 0;
}

/** Mounts the mount at a path a second time. @param owners a user namespace that maps the files' owners. @throws MountError */
export function mountCopy(path: string, target: string, owners: number | undefined): void {
  const copy = detachedMount(path);
  if (copy === undefined) throw new MountError(`copying the mount ${path} failed (open_tree, Linux 5.2)`, "ENOSYS");
  try {
    if (owners !== undefined && !mapMountOwners(copy, owners)) {
      throw new MountError(`the owners of the files in ${path} cannot be mapped (Linux 5.12)`, "EINVAL");
    }
    attachMount(copy, target);
  } finally {
    closeSync(copy);
  }
}

/** One line of /proc/PID/mountinfo. */
export interface Mount {
  readonly id: number;
  /** The file system's device, such as "7:1". */
  readonly device: string;
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
    const [id, , device, root, path] = fields;
    const [type, source, superOptions] = separator < 0 ? [] : fields.slice(separator + 1);
    if (id === undefined || device === undefined || root === undefined || path === undefined) return [];
    if (type === undefined || source === undefined) return [];
    return [
      {
        id: Number(id),
        device,
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

/** Kept between calls: with hundreds of tasks the table has hundreds of kilobytes, and each start and each removal of a task looks into it. */
let table = Buffer.allocUnsafe(64 * 1024);

/** The mount table as the kernel writes it, valid until the next call. */
function readTable(): Buffer {
  using open = new DisposableStack();
  const fd = open.adopt(openSync("/proc/self/mountinfo", "r"), closeSync);
  for (let size = 0; ; ) {
    const read = readSync(fd, table, size, table.length - size, null);
    if (read === 0) return table.subarray(0, size);
    size += read;
    if (size === table.length) table = Buffer.concat([table], table.length * 2);
  }
}

/** The paths of the mounts of this process's namespace that begin with a text; cheaper than readMounts() where many are mounted. */
export function mountPoints(prefix = ""): readonly string[] {
  return parseMountPoints(readTable(), prefix);
}

/** The paths in mountinfo that begin with a text. Only lines that contain it become strings. */
export function parseMountPoints(text: Buffer, prefix: string): readonly string[] {
  const points: string[] = [];
  const sought = ` ${escapeOctal(prefix)}`;
  for (let at = text.indexOf(sought); at !== -1; ) {
    const next = text.indexOf("\n", at);
    const end = next === -1 ? text.length : next;
    const line = text.toString("utf8", text.lastIndexOf("\n", at) + 1, end);
    const [, , , , field = ""] = line.split(" ", 5);
    const path = unescapeOctal(field);
    if (field !== "" && path.startsWith(prefix)) points.push(path);
    at = text.indexOf(sought, end);
  }
  return points;
}

/** The kernel writes space, tab, line end and backslash as three octal digits. */
function unescapeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

function escapeOctal(path: string): string {
  return path.replace(/[ \t\n\\]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`);
}
