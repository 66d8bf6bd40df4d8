import type { Layer } from "../test/support/oci-image";
import { type ArchiveEntry, archive, directory, file } from "../test/support/tar-archive";

/** A layer like those of distributions: many small files and a few large ones, compressible to about half. */
export function layer(number: number, bytes: number): Layer {
  const entries: ArchiveEntry[] = [directory(`data-${number}/`)];
  const block = Buffer.alloc(64 * 1024);
  const text = Buffer.from(`line ${number} of what compresses well, as text and tables do\n`.repeat(1100)).subarray(
    0,
    block.length,
  );
  let random = BigInt(number + 1);
  const noise = () => {
    for (let at = 0; at < block.length; at += 8) {
      random = BigInt.asUintN(64, random * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n);
      block.writeBigUInt64LE(random ^ (random >> 29n), at);
    }
    return Buffer.from(block);
  };
  let left = bytes;
  for (let index = 0; left > 0; index += 1) {
    // Two thousand files of 16 KiB, then files of 4 MiB.
    const size = Math.min(left, index < 2000 ? 16 * 1024 : 4 * 1024 * 1024);
    const parts: Buffer[] = [];
    for (let filled = 0; filled < size; filled += block.length)
      parts.push((filled / block.length) % 2 === 0 && index % 2 === 0 ? noise() : text);
    entries.push(file(`data-${number}/${index}`, "", { data: Buffer.concat(parts).subarray(0, size) }));
    left -= size;
  }
  return { archive: archive(entries) };
}
