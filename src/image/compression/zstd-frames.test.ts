import { expect, test } from "bun:test";
import { constants, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { ZstdFrames } from "./zstd-frames";

const skippable = (bytes: number) => {
  const frame = Buffer.alloc(8 + bytes);
  frame.writeUInt32LE(0x184d_2a53);
  frame.writeUInt32LE(bytes, 4);
  return frame;
};
const frame = fc
  .record({
    content: fc.oneof(
      fc.uint8Array({ maxLength: 3000 }),
      fc.integer({ min: 1, max: 400_000 }).map((size) => new Uint8Array(size)),
    ),
    checksum: fc.boolean(),
    level: fc.constantFrom(1, 3, 19),
  })
  .map(({ content, checksum, level }) =>
    zstdCompressSync(content, {
      params: { [constants.ZSTD_c_checksumFlag]: checksum ? 1 : 0, [constants.ZSTD_c_compressionLevel]: level },
    }),
  );
const frames = fc.array(fc.oneof(frame, fc.nat(300).map(skippable)), { minLength: 1, maxLength: 4 });

test("finds the ends of frames, however the content is split", () => {
  fc.assert(
    fc.property(frames, fc.integer({ min: 1, max: 5000 }), (all, piece) => {
      const bytes = Buffer.concat(all);
      const reader = new ZstdFrames();
      for (let at = 0; at < bytes.length; at += piece) reader.push(bytes.subarray(at, at + piece));
      expect(reader.complete).toBe(true);
    }),
  );
});

test("notices any truncation", () => {
  fc.assert(
    fc.property(frame, fc.double({ min: 0, max: 1, noNaN: true }), (bytes, where) => {
      const reader = new ZstdFrames();
      reader.push(bytes.subarray(0, 1 + Math.floor(where * (bytes.length - 2))));
      expect(reader.complete).toBe(false);
    }),
  );
});
