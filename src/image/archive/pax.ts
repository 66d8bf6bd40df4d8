import { UnpackError } from "../../lib/errors";
import { defined } from "../../lib/objects";
import type { ByteString } from "./tar-header";

/** Records of an extended header by keyword. */
export type PaxRecords = ReadonlyMap<string, Buffer>;

/** The fields of a header that its extended header replaces. */
export interface PaxOverrides {
  readonly path?: ByteString;
  readonly link?: ByteString;
  readonly size?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Seconds since the epoch, with a fraction. */
  readonly mtime?: number;
  /** Extended attributes by name, as bytes: capabilities are binary. */
  readonly xattrs: ReadonlyMap<string, Buffer>;
}

const XATTR = "SCHILY.xattr.";
/** Of a header without an extended one, as most have none. */
const NO_OVERRIDES: PaxOverrides = { xattrs: new Map() };

/**
 * Splits an extended header into its records, "LENGTH KEYWORD=VALUE\n" each (pax(1), "pax Extended Header"). Values stay bytes.
 *
 * @throws UnpackError for an invalid header
 */
export function parsePax(data: Buffer): PaxRecords {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < data.length; ) {
    // Some programs pad the block with NULs and count them.
    if (data[at] === 0) break;
    const space = data.indexOf(0x20, at);
    const digits = space < 0 || space - at > 10 ? "" : data.toString("latin1", at, space);
    const length = /^\d+$/.test(digits) ? Number(digits) : 0;
    const equals = data.indexOf(0x3d, space);
    const end = at + length;
    if (length === 0 || end > data.length || data[end - 1] !== 0x0a || equals < 0 || equals >= end) {
      throw new UnpackError("an extended header is damaged");
    }
    records.set(data.toString("utf8", space + 1, equals), data.subarray(equals + 1, end - 1));
    at = end;
  }
  return records;
}

/** Seconds with a fraction; Number() alone would also accept "0x10", "1e3" and " 1". */
const DECIMAL = /^-?\d+(?:\.\d*)?$/;

/** The meaning of the records for the entry they belong to. @throws UnpackError for an invalid value */
export function paxOverrides(records: PaxRecords): PaxOverrides {
  if (records.size === 0) return NO_OVERRIDES;
  const text = (key: string) => records.get(key)?.toString("latin1");
  const whole = (key: string) => {
    const value = text(key);
    if (value === undefined || value === "") return undefined;
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (!Number.isSafeInteger(number)) throw new UnpackError(`an extended header has an invalid number as ${key}`);
    return number;
  };
  const path = text("GNU.sparse.name") ?? text("path");
  const link = text("linkpath");
  const [size, uid, gid] = [whole("size"), whole("uid"), whole("gid")];
  const time = text("mtime");
  // An empty value deletes an earlier record (POSIX 1003.1, pax(1), "pax Extended Header").
  const mtime = time === undefined || time === "" ? undefined : Number(time);
  if (mtime !== undefined && !(DECIMAL.test(time ?? "") && Math.abs(mtime) < Number.MAX_SAFE_INTEGER)) {
    throw new UnpackError("an extended header has an invalid number as mtime");
  }
  const xattrs = new Map<string, Buffer>();
  for (const [key, value] of records) if (key.startsWith(XATTR)) xattrs.set(key.slice(XATTR.length), value);
  return {
    ...defined({ path: path || undefined, link: link || undefined, size, uid, gid, mtime }),
    xattrs,
  };
}
