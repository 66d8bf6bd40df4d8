import type { ReadDevice } from "./device";
import { endsUnmounted } from "./xfs-log";

/** Whether a file system's journal is empty; "unknown" if that cannot be seen. */
export type JournalState = "clean" | "dirty" | "unknown";

/** The superblock of ext3 and ext4 (linux/fs/ext4/ext4.h, struct ext4_super_block). */
const EXT = { start: 1024, size: 1024, magicAt: 0x38, magic: 0xef53, incompatibleAt: 0x60, recover: 0x4 } as const;

/** The superblock of btrfs (linux/fs/btrfs, struct btrfs_super_block). */
const BTRFS = { start: 0x1_0000, size: 0x1000, magicAt: 0x40, magic: "_BHRfS_M", logRootAt: 0x60 } as const;

/** File systems that have no journal. */
const WITHOUT: readonly string[] = ["squashfs", "erofs", "cramfs", "iso9660", "ext2", "vfat"];

/**
 * Whether a file system has changes in its journal that are not in their places yet, and which a replay would write there.
 *
 * @param type as in mountinfo; "unknown" for types that are not known here
 */
export async function journalState(type: string, read: ReadDevice): Promise<JournalState> {
  if (WITHOUT.includes(type)) return "clean";
  if (type === "ext3" || type === "ext4") return extState(await read(EXT.start, EXT.size));
  if (type === "btrfs") return btrfsState(await read(BTRFS.start, BTRFS.size));
  return type === "xfs" ? xfsState(await endsUnmounted(read)) : "unknown";
}

function xfsState(unmounted: boolean | undefined): JournalState {
  if (unmounted === undefined) return "unknown";
  return unmounted ? "clean" : "dirty";
}

function extState(block: Buffer): JournalState {
  if (block.length < EXT.size || block.readUInt16LE(EXT.magicAt) !== EXT.magic) return "unknown";
  return (block.readUInt32LE(EXT.incompatibleAt) & EXT.recover) === 0 ? "clean" : "dirty";
}

function btrfsState(block: Buffer): JournalState {
  const magic = block.toString("latin1", BTRFS.magicAt, BTRFS.magicAt + BTRFS.magic.length);
  if (block.length < BTRFS.size || magic !== BTRFS.magic) return "unknown";
  return block.readBigUInt64LE(BTRFS.logRootAt) === 0n ? "clean" : "dirty";
}
