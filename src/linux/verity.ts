import { ptr } from "bun:ffi";
import { closeSync, constants, fstatSync, openSync, statfsSync } from "node:fs";
import { callError, lastErrno, libc } from "./ffi";

/**
 * fs-verity (Documentation/filesystems/fsverity.rst): the kernel computes a tree of hashes of a file once, refuses from then on to open it
 * for writing, and compares each block with the tree when it reads it from the disk: a damaged block gives EIO instead of other content.
 * ext4 and f2fs have it with the feature `verity` (tune2fs -O verity), Btrfs always since Linux 5.15.
 */

/** ioctl numbers of linux/fsverity.h. */
const FS_IOC_ENABLE_VERITY = 0x4080_6685;
const FS_IOC_MEASURE_VERITY = 0xc004_6686;
/** struct fsverity_enable_arg: all other fields are 0, for no salt and no signature. */
const ENABLE = { size: 128, version: 0, algorithm: 4, blockSize: 8 } as const;
/** struct fsverity_digest: the algorithm, the digest's size, the digest. */
const DIGEST = { head: 4, size: 2 } as const;
const FS_VERITY_HASH_ALG_SHA256 = 1;
const SHA256_BYTES = 32;
/** Bytes of a hashed block. Kernels before 6.3 know only the size of a page; none knows more than the file system's block. */
const MOST_BLOCK = 4096;

/** Errors of files, file systems and kernels that cannot have it (fsverity.rst, "FS_IOC_ENABLE_VERITY"). */
const WITHOUT: readonly string[] = ["ENOTTY", "ENOTSUP", "EOPNOTSUPP", "EINVAL"];

/**
 * Protects a regular file by fs-verity. It reads the whole file, holes included, and waits until it is written to the disk. Afterwards its
 * content cannot be changed any more; its owner, mode, times and attributes can, and it can be removed.
 *
 * @param path a file that no process has open for writing; symlinks are not followed
 * @returns the digest that measureVerity() will return, undefined if the file system or the kernel cannot
 * @throws CallError, and the errors of open(2)
 */
export function enableVerity(path: string | Buffer): string | undefined {
  using file = openFile(path);
  const argument = Buffer.alloc(ENABLE.size);
  argument.writeUInt32LE(1, ENABLE.version);
  argument.writeUInt32LE(FS_VERITY_HASH_ALG_SHA256, ENABLE.algorithm);
  argument.writeUInt32LE(Math.min(fstatSync(file.fd).blksize, MOST_BLOCK), ENABLE.blockSize);
  if (libc().ioctl(file.fd, FS_IOC_ENABLE_VERITY, ptr(argument)) === 0) return measure(file.fd);
  const error = callError("FS_IOC_ENABLE_VERITY");
  if (WITHOUT.includes(error.code)) return undefined;
  throw error;
}

/**
 * The digest of a file that fs-verity protects, as sha256:HEX, without reading the file: the kernel has it in memory or reads one block.
 *
 * @returns undefined for a file that it does not protect
 * @throws the errors of open(2)
 */
export function measureVerity(path: string | Buffer): string | undefined {
  using file = openFile(path);
  return measure(file.fd);
}

/** f_type of statfs(2) for Btrfs (linux/magic.h). */
const BTRFS_SUPER_MAGIC = 0x9123_683e;

/**
 * Whether the file system of a directory needs fs-verity for damage on the disk to be an error: Btrfs has checksums of all data, and the
 * hashes would only be computed twice.
 */
export function needsVerity(directory: string): boolean {
  return statfsSync(directory).type !== BTRFS_SUPER_MAGIC;
}

/** Whether the file system of a directory can protect files by fs-verity: only such a one says that this directory has no digest. */
export function hasVerity(directory: string): boolean {
  using opened = openFile(directory);
  return (
    libc().ioctl(opened.fd, FS_IOC_MEASURE_VERITY, ptr(Buffer.alloc(DIGEST.head + SHA256_BYTES))) !== 0 &&
    lastErrno()[0] === "ENODATA"
  );
}

function measure(fd: number): string | undefined {
  const digest = Buffer.alloc(DIGEST.head + SHA256_BYTES);
  digest.writeUInt16LE(SHA256_BYTES, DIGEST.size);
  if (libc().ioctl(fd, FS_IOC_MEASURE_VERITY, ptr(digest)) !== 0) return undefined;
  return `sha256:${digest.toString("hex", DIGEST.head)}`;
}

function openFile(path: string | Buffer): Disposable & { readonly fd: number } {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  return { fd, [Symbol.dispose]: () => closeSync(fd) };
}
