/** What the head of a file system says of its journal: whether it has changes that are not in their places yet. */

/** The bytes from the start of a device that {@link journalState} needs. */
export const HEAD_BYTES = 0x1_1000;

/** The superblock of ext2, ext3 and ext4 (linux/fs/ext4/ext4.h, struct ext4_super_block). */
const EXT = { start: 1024, magicAt: 0x38, magic: 0xef53, incompatibleAt: 0x60, recover: 0x4 } as const;

/** The superblock of btrfs (linux/fs/btrfs, struct btrfs_super_block). */
const BTRFS = { start: 0x1_0000, magicAt: 0x40, magic: "_BHRfS_M", logRootAt: 0x60 } as const;

/** File systems that have no journal. */
const WITHOUT: readonly string[] = ["squashfs", "erofs", "cramfs", "iso9660", "ext2", "vfat"];

/**
 * Whether a file system can be read without replaying its journal: "clean" if the journal is empty, "dirty" if it is not, "unknown" for
 * a file system whose head does not say so, such as XFS.
 *
 * @param type as in mountinfo
 * @param head the first {@link HEAD_BYTES} of its device; a shorter one is "unknown"
 */
export function journalState(type: string, head: Buffer): "clean" | "dirty" | "unknown" {
  if (WITHOUT.includes(type)) return "clean";
  if (head.length < HEAD_BYTES) return "unknown";
  if (type === "ext3" || type === "ext4") {
    if (head.readUInt16LE(EXT.start + EXT.magicAt) !== EXT.magic) return "unknown";
    return (head.readUInt32LE(EXT.start + EXT.incompatibleAt) & EXT.recover) === 0 ? "clean" : "dirty";
  }
  if (type === "btrfs") {
    if (head.toString("latin1", BTRFS.start + BTRFS.magicAt, BTRFS.start + BTRFS.magicAt + 8) !== BTRFS.magic)
      return "unknown";
    return head.readBigUInt64LE(BTRFS.start + BTRFS.logRootAt) === 0n ? "clean" : "dirty";
  }
  return "unknown";
}
