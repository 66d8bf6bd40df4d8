import { ptr } from "bun:ffi";
import { closeSync, constants, openSync } from "node:fs";
import { errnoCode, ifThere, isMissing } from "../lib/errors";
import { SYS } from "./constants";
import { check, libc } from "./ffi";

/**
 * Project quotas (quotactl(2), ioctl_xfs_fsgetxattr(2)): the kernel counts the blocks of all files with one *project ID*, which new files
 * inherit from their directory, and refuses writes beyond a limit. ext4 has them with the feature `project` and the mount option
 * `prjquota`, XFS with `pquota`. quotactl_fd() exists since Linux 5.14.
 */

const FS_IOC_FSGETXATTR = 0x801c_581f;
const FS_IOC_FSSETXATTR = 0x401c_5820;
const FS_XFLAG_PROJINHERIT = 0x200;
/** Bytes of struct fsxattr (linux/fs.h), and the positions of its fields. */
const FSXATTR = { size: 28, flags: 0, project: 12 } as const;

const PRJQUOTA = 2;
/** A command for project quotas, as QCMD() of linux/quota.h makes it; JavaScript's shift would make it negative. */
const command = (number: number) => number * 256 + PRJQUOTA;
const Q_GETQUOTA = command(0x80_0007);
const Q_SETQUOTA = command(0x80_0008);
const Q_XGETQSTAT = command(0x5805);

/** struct if_dqblk (linux/quota.h): limits are in blocks of 1024 bytes, the usage in bytes. */
const DQBLK = { size: 72, hardBlocks: 0, softBlocks: 8, usedBytes: 16, valid: 64 } as const;
const QIF_BLIMITS = 1;
const BLOCK = 1024;

/** struct fs_quota_stat (linux/dqblk_xfs.h), of which only qs_flags is read. */
const QSTAT = { size: 128, flags: 2 } as const;
const FS_QUOTA_PDQ_ENFD = 1 << 5;

/** What the files of a project take, and may take. */
export interface ProjectUsage {
  readonly bytes: number;
  /** Bytes; 0 for no limit. */
  readonly limit: number;
}

/** Whether the file system of a directory refuses writes beyond the limit of a project; false if that cannot be known. */
export function enforcesProjectQuotas(directory: string): boolean {
  const state = Buffer.alloc(QSTAT.size);
  try {
    using opened = openDirectory(directory);
    quotactl(opened.fd, Q_XGETQSTAT, 0, state);
  } catch {
    return false;
  }
  return (state.readUInt16LE(QSTAT.flags) & FS_QUOTA_PDQ_ENFD) !== 0;
}

/** The project ID of a directory: 0 if it has none, does not exist, or its file system has no projects. */
export function projectOf(directory: string): number {
  return ifThere(() => {
    using opened = openDirectory(directory);
    const attributes = Buffer.alloc(FSXATTR.size);
    const result = libc().ioctl(opened.fd, FS_IOC_FSGETXATTR, ptr(attributes));
    return result < 0 ? 0 : attributes.readUInt32LE(FSXATTR.project);
  }, 0);
}

/** Gives a directory a project ID, which what is created in it inherits. @throws CallError */
export function setProject(directory: string, project: number): void {
  using opened = openDirectory(directory);
  const attributes = Buffer.alloc(FSXATTR.size);
  check("FS_IOC_FSGETXATTR", libc().ioctl(opened.fd, FS_IOC_FSGETXATTR, ptr(attributes)));
  attributes.writeUInt32LE((attributes.readUInt32LE(FSXATTR.flags) | FS_XFLAG_PROJINHERIT) >>> 0, FSXATTR.flags);
  attributes.writeUInt32LE(project, FSXATTR.project);
  check("FS_IOC_FSSETXATTR", libc().ioctl(opened.fd, FS_IOC_FSSETXATTR, ptr(attributes)));
}

/** The usage and limit of a project on the file system of a directory. @throws CallError */
export function projectUsage(directory: string, project: number): ProjectUsage {
  const usage = Buffer.alloc(DQBLK.size);
  try {
    using opened = openDirectory(directory);
    quotactl(opened.fd, Q_GETQUOTA, project, usage);
  } catch (error) {
    // XFS, for a project that was never used.
    if (isMissing(error)) return { bytes: 0, limit: 0 };
    throw error;
  }
  return {
    bytes: Number(usage.readBigUInt64LE(DQBLK.usedBytes)),
    limit: Number(usage.readBigUInt64LE(DQBLK.hardBlocks)) * BLOCK,
  };
}

/** Errors of a file system or kernel that has no project quotas, or none any more. */
const WITHOUT_QUOTAS: readonly unknown[] = ["ESRCH", "ENOSYS", "ENOTSUP", "ENOENT"];

/** Removes the limit of a project on the file system of a directory; does nothing if that has no project quotas any more. @throws CallError */
export function unlimitProject(directory: string, project: number): void {
  try {
    limitProject(directory, project, 0);
  } catch (error) {
    if (!WITHOUT_QUOTAS.includes(errnoCode(error))) throw error;
  }
}

/** Limits the blocks of a project on the file system of a directory. @param bytes 0 for no limit @throws CallError */
export function limitProject(directory: string, project: number, bytes: number): void {
  using opened = openDirectory(directory);
  const limits = Buffer.alloc(DQBLK.size);
  const blocks = BigInt(Math.floor(bytes / BLOCK));
  limits.writeBigUInt64LE(blocks, DQBLK.hardBlocks);
  limits.writeBigUInt64LE(blocks, DQBLK.softBlocks);
  limits.writeUInt32LE(QIF_BLIMITS, DQBLK.valid);
  quotactl(opened.fd, Q_SETQUOTA, project, limits);
}

function quotactl(fd: number, operation: number, project: number, data: Buffer): void {
  check("quotactl_fd", libc().syscall(SYS.quotactl_fd, fd, operation, project, ptr(data), 0));
}

function openDirectory(path: string): Disposable & { readonly fd: number } {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  return { fd, [Symbol.dispose]: () => closeSync(fd) };
}
