import { decode } from "@msgpack/msgpack";

/**
 * Decodes msgpack. A header that claims more elements than the input has bytes is refused before anything is allocated for them: five
 * bytes could otherwise claim an array of 2^32 elements, and the decoder makes room for all of them first.
 *
 * @param integers what integers of 64 bits become
 * @throws RangeError or another error of the decoder for anything that is not one msgpack value
 */
export function decodeMsgpack(bytes: Uint8Array, integers: "number" | "bigint"): unknown {
  const most = bytes.length;
  return decode(bytes, {
    useBigInt64: integers === "bigint",
    maxArrayLength: most,
    maxMapLength: most,
    maxStrLength: most,
    maxBinLength: most,
    maxExtLength: most,
  });
}
