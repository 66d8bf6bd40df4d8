import { UnpackError } from "../../lib/errors";
import type { PaxRecords } from "./pax";
import { numberAt } from "./tar-header";

/** The position of a piece of a sparse file's data; between the pieces are holes. */
export interface Piece {
  readonly offset: number;
  readonly size: number;
}

/** The layout of a sparse file. */
interface SparseMap {
  readonly pieces: readonly Piece[];
  /** Size of the whole file, including holes. */
  readonly size: number;
}

const ENTRY = 24;

/** Pieces in a block of GNU's own format: 12 octal digits each for offset and size (GNU tar's manual, "Storing Sparse Files"). */
export function gnuPieces(block: Buffer, offset: number, count: number): Piece[] {
  const pieces: Piece[] = [];
  for (let at = offset; at < offset + count * ENTRY; at += ENTRY) {
    if (block[at] === 0) break;
    pieces.push({ offset: numberAt(block, at, 12), size: numberAt(block, at + 12, 12) });
  }
  return pieces;
}

/** An extended header's data about a sparse file; the map may be at the beginning of its data ("1.0"). */
export function paxSparse(
  records: PaxRecords,
): SparseMap | { readonly size: number; readonly inData: true } | undefined {
  const text = (key: string) => records.get(key)?.toString("latin1");
  const size = text("GNU.sparse.realsize") ?? text("GNU.sparse.size");
  if (size === undefined) return undefined;
  if (text("GNU.sparse.major") === "1") return { size: natural(size), inData: true };
  const map = text("GNU.sparse.map");
  if (map === undefined) throw new UnpackError("it has a sparse file of format 0.0, which is not supported");
  return { size: natural(size), pieces: inPairs(map === "" ? [] : map.split(",").map(natural)) };
}

/** The longest number of a map, in digits. */
const MAX_DIGITS = 16;

/** Parses the map at the beginning of a sparse file's data: decimal numbers, one a line, the number of pieces first. */
export class DataMap {
  readonly #numbers: number[] = [];
  #count: number | undefined;
  #rest = "";

  /**
   * Adds a block.
   *
   * @returns undefined while lines are missing
   * @throws UnpackError
   */
  add(block: Buffer): Piece[] | undefined {
    const lines = (this.#rest + block.toString("latin1")).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (this.#count === undefined) this.#count = natural(line);
      else this.#numbers.push(natural(line));
      if (this.#numbers.length === this.#count * 2) return inPairs(this.#numbers);
    }
    if (this.#rest.length > MAX_DIGITS) throw new UnpackError("a sparse file's map is damaged");
    return undefined;
  }
}

/** Checks that the pieces are in order and within the file. @throws UnpackError */
export function checkPieces({ pieces, size }: SparseMap, stored: number): void {
  let end = 0;
  let sum = 0;
  for (const piece of pieces) {
    if (piece.offset < end) throw new UnpackError("a sparse file's map is damaged");
    end = piece.offset + piece.size;
    sum += piece.size;
  }
  if (end > size || sum !== stored) throw new UnpackError("a sparse file's map is damaged");
}

/** Offsets and sizes in turn, as pieces. @throws UnpackError if the last offset has no size: its piece would become a hole */
function inPairs(numbers: readonly number[]): Piece[] {
  if (numbers.length % 2 !== 0) throw new UnpackError("a sparse file's map is damaged");
  const pieces: Piece[] = [];
  for (let at = 0; at < numbers.length; at += 2) {
    pieces.push({ offset: numbers[at] ?? 0, size: numbers[at + 1] ?? 0 });
  }
  return pieces;
}

function natural(text: string): number {
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw new UnpackError("a sparse file's map is damaged");
  return number;
}
