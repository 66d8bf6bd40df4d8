import type { ReadDevice } from "./device";

/** Sizes of the log's parts in bytes, and positions of fields; all numbers are big-endian (linux/fs/xfs/libxfs, xfs_format.h). */
const SUPERBLOCK = {
  magic: "XFSB",
  blockSize: 4,
  logStart: 48,
  agBlocks: 84,
  logBlocks: 96,
  agBlockBits: 124,
  size: 512,
} as const;
/** The log's own unit (xfs_log_format.h, BBSIZE). */
const BLOCK = 512;
/** struct xlog_rec_header: one block, or several if the record may be larger than 32 KiB. */
const RECORD = { magic: 0xfeed_babe, cycle: 4, version: 8, length: 12, operations: 40, mostLength: 320 } as const;
const OF_ONE_HEADER = 32 * 1024;
/** struct xlog_op_header, of the record of an unmount. */
const OPERATION = { flags: 9, unmount: 0x20 } as const;
/** The log's last writes may reach the disk in any order, but are not further apart than this (XLOG_TOTAL_REC_SHIFT). */
const REORDERED_BLOCKS = (2 * 1024 * 1024) / BLOCK;
/** An unmount's record is shorter than this, also with the stripes of a RAID (XLOG_MAX_RECORD_BSIZE). */
const RECORD_BLOCKS = (256 * 1024) / BLOCK;

/**
 * Whether the log of an XFS ends with the record of an unmount, so that nothing has to be replayed. Each block of the log begins with the
 * number of its cycle (a record's header: its second word): the log is written in a circle, and ends where the number falls by one.
 *
 * @returns undefined for a log that is not exactly like this
 */
export async function endsUnmounted(read: ReadDevice): Promise<boolean | undefined> {
  const log = await findLog(read);
  if (log === undefined) return undefined;
  const block = (index: number, count = 1) => read(log.start + index * BLOCK, count * BLOCK);
  const cycle = async (index: number) => cycleOf(await block(index));
  const [first, last] = [await cycle(0), await cycle(log.blocks - 1)];
  // A log that has just been filled, or has never been written, has no end that could be recognized.
  if (first === 0 || (last !== first - 1 && last !== 0)) return undefined;
  const end = await lowest(1, log.blocks - 1, async (index) => (await cycle(index)) !== first);
  const after = await block(end, Math.min(REORDERED_BLOCKS, log.blocks - end));
  for (let at = 0; at < after.length; at += BLOCK) if (cycleOf(after.subarray(at)) !== last) return undefined;
  const start = Math.max(0, end - RECORD_BLOCKS);
  return endsWithUnmount(await block(start, end - start));
}

interface Log {
  /** Bytes from the start of the device. */
  readonly start: number;
  readonly blocks: number;
}

async function findLog(read: ReadDevice): Promise<Log | undefined> {
  const head = await read(0, SUPERBLOCK.size);
  if (head.length < SUPERBLOCK.size || head.toString("latin1", 0, 4) !== SUPERBLOCK.magic) return undefined;
  const blockSize = head.readUInt32BE(SUPERBLOCK.blockSize);
  const logStart = head.readBigUInt64BE(SUPERBLOCK.logStart);
  // The log is on another device.
  if (logStart === 0n) return undefined;
  const bits = BigInt(head.readUInt8(SUPERBLOCK.agBlockBits));
  const group = Number(logStart >> bits);
  const inGroup = Number(logStart & ((1n << bits) - 1n));
  const start = (group * head.readUInt32BE(SUPERBLOCK.agBlocks) + inGroup) * blockSize;
  return { start, blocks: (head.readUInt32BE(SUPERBLOCK.logBlocks) * blockSize) / BLOCK };
}

function cycleOf(block: Buffer): number {
  const word = block.readUInt32BE(0);
  return word === RECORD.magic ? block.readUInt32BE(RECORD.cycle) : word;
}

/** The lowest index for which a condition holds that holds from there on, and for `high`. */
async function lowest(low: number, high: number, holds: (index: number) => Promise<boolean>): Promise<number> {
  let [from, to] = [low, high];
  while (from < to) {
    const middle = Math.floor((from + to) / 2);
    if (await holds(middle)) to = middle;
    else from = middle + 1;
  }
  return to;
}

/** Whether the last record in a part of the log is that of an unmount, and reaches to the end of the part. */
function endsWithUnmount(blocks: Buffer): boolean {
  for (let at = blocks.length - BLOCK; at >= 0; at -= BLOCK) {
    const header = blocks.subarray(at, at + BLOCK);
    if (header.readUInt32BE(0) !== RECORD.magic) continue;
    const most = (header.readUInt32BE(RECORD.version) & 2) === 0 ? 0 : header.readUInt32BE(RECORD.mostLength);
    const headers = Math.max(1, Math.ceil(most / OF_ONE_HEADER));
    const content = at + headers * BLOCK;
    const length = Math.ceil(header.readUInt32BE(RECORD.length) / BLOCK) * BLOCK;
    if (content + length !== blocks.length || length === 0) return false;
    return (
      header.readUInt32BE(RECORD.operations) === 1 &&
      (blocks.readUInt8(content + OPERATION.flags) & OPERATION.unmount) !== 0
    );
  }
  return false;
}
