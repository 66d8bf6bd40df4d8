import { UnpackError } from "../../lib/errors";
import { type PaxOverrides, type PaxRecords, parsePax, paxOverrides } from "./pax";
import { checkPieces, DataMap, gnuPieces, type Piece, paxSparse } from "./sparse";
import { BLOCK, type ByteString, KINDS, numberAt, parseHeader, type TarHeader, type TarSink } from "./tar-header";

/** Extended headers and long names are kept in memory: no valid one is that long. */
const MAX_META = 1024 * 1024;
/** Of a map in blocks of GNU's own format: about as many as fit into one of MAX_META. */
const MAX_PIECES = 50_000;
const GNU_SPARSE = { inHeader: 4, headerAt: 386, moreAt: 482, sizeAt: 483, inBlock: 21, blockMoreAt: 504 } as const;

/** Seconds from 1970: the range of JavaScript dates, by which negative times are passed to the kernel. */
const MAX_TIME = 8.64e12;
/** The largest ID of a user or group; the next one means "unchanged" (chown(2)). */
const MAX_ID = 0xffff_fffe;

type State = "header" | "meta" | "gnu map" | "data map" | "data" | "ended";

/**
 * Parses a tar archive that arrives in pieces of any size: ustar, pax and GNU's format, with long names, extended attributes and
 * sparse files. Why not a library from npm: docs/dependencies.md.
 */
export class TarReader {
  readonly #sink: TarSink;
  readonly #block = Buffer.alloc(BLOCK);
  #filled = 0;
  #state: State = "header";
  #header: TarHeader | undefined;
  #meta: Buffer[] = [];
  /** Bytes of the current entry's data still expected, and of the padding after them. */
  #left = 0;
  #padding = 0;
  #pax: PaxRecords = new Map();
  #longName: ByteString | undefined;
  #longLink: ByteString | undefined;
  #pieces: Piece[] = [];
  #map = new DataMap();
  #mapSize = 0;
  #realSize = 0;
  #piece = 0;
  #inPiece = 0;

  constructor(sink: TarSink) {
    this.#sink = sink;
  }

  /**
   * Accepts the next bytes of the archive.
   *
   * @throws UnpackError if they are not a tar archive, and whatever the sink throws
   */
  push(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length && this.#state !== "ended") {
      if (this.#state === "data" || this.#state === "meta") {
        if (this.#left > 0) {
          const taken = bytes.subarray(at, at + this.#left);
          at += taken.length;
          this.#left -= taken.length;
          if (this.#state === "meta") this.#meta.push(Buffer.from(taken));
          else this.#deliver(taken);
          if (this.#left === 0 && this.#padding === 0) this.#finishEntry();
          continue;
        }
        const skipped = Math.min(this.#padding, bytes.length - at);
        at += skipped;
        this.#padding -= skipped;
        if (this.#padding === 0) this.#finishEntry();
        continue;
      }
      const taken = bytes.copy(this.#block, this.#filled, at, at + BLOCK - this.#filled);
      at += taken;
      this.#filled += taken;
      if (this.#filled < BLOCK) return;
      this.#filled = 0;
      this.#takeBlock();
    }
  }

  /**
   * Ends the archive. The padding after the last entry may be missing, and the two blocks of zeros, as in layers of `umoci insert`: Go's
   * reader, and so docker and containerd, needs neither.
   *
   * @throws UnpackError if it is incomplete
   */
  finish(): void {
    if (this.#state === "data" && this.#left === 0) this.#finishEntry();
    const between = this.#state === "header" && this.#filled === 0;
    if (!between && this.#state !== "ended") throw new UnpackError("it is truncated");
  }

  #takeBlock(): void {
    switch (this.#state) {
      case "gnu map":
        this.#pieces.push(...gnuPieces(this.#block, 0, GNU_SPARSE.inBlock));
        if (this.#pieces.length > MAX_PIECES) throw new UnpackError("a sparse file's map is too long");
        if (this.#block[GNU_SPARSE.blockMoreAt] !== 1) this.#beginSparse();
        return;
      case "data map": {
        this.#mapSize += BLOCK;
        this.#left -= BLOCK;
        const pieces = this.#map.add(this.#block);
        if (pieces !== undefined) {
          this.#pieces = pieces;
          this.#beginSparse();
        } else if (this.#mapSize > MAX_META || this.#left < BLOCK) {
          throw new UnpackError("a sparse file's map is damaged");
        }
        return;
      }
      default: {
        const header = parseHeader(this.#block);
        if (header === undefined) this.#state = "ended";
        else this.#takeHeader(header);
      }
    }
  }

  #takeHeader(header: TarHeader): void {
    this.#header = header;
    if (["x", "g", "L", "K", "X"].includes(header.type)) {
      if (header.size > MAX_META) throw new UnpackError("an extended header is too long");
      this.#expect(header.size, "meta");
      return;
    }
    const { size = header.size } = paxOverrides(this.#pax);
    this.#pieces = [];
    const sparse = paxSparse(this.#pax);
    if (header.type === "S") {
      this.#left = size;
      this.#realSize = numberAt(this.#block, GNU_SPARSE.sizeAt, 12);
      this.#pieces = gnuPieces(this.#block, GNU_SPARSE.headerAt, GNU_SPARSE.inHeader);
      if (this.#block[GNU_SPARSE.moreAt] === 1) this.#state = "gnu map";
      else this.#beginSparse();
    } else if (sparse === undefined) {
      this.#realSize = size;
      this.#beginEntry(header.type === "0" || header.type === "7" ? size : 0);
    } else {
      this.#realSize = sparse.size;
      this.#left = size;
      if ("inData" in sparse) {
        this.#state = "data map";
        this.#map = new DataMap();
        this.#mapSize = 0;
      } else {
        this.#pieces = [...sparse.pieces];
        this.#beginSparse();
      }
    }
  }

  #beginSparse(): void {
    checkPieces({ pieces: this.#pieces, size: this.#realSize }, this.#left);
    this.#piece = 0;
    this.#inPiece = 0;
    this.#beginEntry(this.#left);
  }

  #beginEntry(stored: number): void {
    const header = this.#header;
    if (header === undefined) throw new UnpackError("it has data without a header");
    const kind = KINDS[header.type];
    if (kind === undefined) throw new UnpackError(`it has an entry of unknown type ${JSON.stringify(header.type)}`);
    const overrides: PaxOverrides = paxOverrides(this.#pax);
    const name = overrides.path ?? this.#longName ?? header.name;
    const mtime = overrides.mtime ?? header.mtime;
    if (Math.abs(mtime) > MAX_TIME) throw new UnpackError("a header has a time out of range");
    this.#sink.begin({
      // Before ustar a name with a trailing slash was a directory.
      kind: kind === "file" && name.endsWith("/") && stored === 0 ? "directory" : kind,
      name,
      link: overrides.link ?? this.#longLink ?? header.link,
      mode: header.mode,
      uid: owner(overrides.uid ?? header.uid),
      gid: owner(overrides.gid ?? header.gid),
      mtime,
      size: kind === "file" ? this.#realSize : 0,
      xattrs: overrides.xattrs,
      device: header.device,
    });
    this.#pax = new Map();
    this.#longName = undefined;
    this.#longLink = undefined;
    if (this.#pieces.length === 0) this.#pieces = [{ offset: 0, size: stored }];
    this.#piece = 0;
    this.#inPiece = 0;
    this.#expect(stored, "data");
  }

  #expect(size: number, state: "meta" | "data"): void {
    this.#state = state;
    this.#left = size;
    this.#padding = (BLOCK - (size % BLOCK)) % BLOCK;
    if (size === 0) this.#finishEntry();
  }

  #deliver(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const piece = this.#pieces[this.#piece];
      if (piece === undefined) throw new UnpackError("a sparse file's map is damaged");
      const taken = bytes.subarray(at, at + piece.size - this.#inPiece);
      if (taken.length > 0) this.#sink.data(taken, piece.offset + this.#inPiece);
      at += taken.length;
      this.#inPiece += taken.length;
      if (this.#inPiece === piece.size) {
        this.#piece += 1;
        this.#inPiece = 0;
      }
    }
  }

  #finishEntry(): void {
    const wasMeta = this.#state === "meta";
    this.#state = "header";
    if (!wasMeta) {
      this.#sink.end();
      return;
    }
    const content = Buffer.concat(this.#meta);
    this.#meta = [];
    const text = () => content.toString("latin1").replace(/\0.*$/s, "");
    switch (this.#header?.type) {
      case "L":
        this.#longName = text();
        return;
      case "K":
        this.#longLink = text();
        return;
      case "g":
        // Go's reader, and so docker, ignores it as well.
        return;
      default:
        this.#pax = parsePax(content);
    }
  }
}

function owner(id: number): number {
  if (id > MAX_ID) throw new UnpackError(`a header has the owner ${id}, which is out of range`);
  return id;
}
