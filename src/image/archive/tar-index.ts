import { dirname, join } from "node:path/posix";
import { UnpackError } from "../../lib/errors";
import { type FileRange, readAt } from "../../linux/read-range";
import { type PaxRecords, parsePax, paxOverrides } from "./pax";
import { paxSparse } from "./sparse";
import { BLOCK, type ByteString, parseHeader, textAt } from "./tar-header";

/** What a name in an archive stands for. */
type Member = ({ readonly kind: "file" } & FileRange) | { readonly kind: "link"; readonly target: ByteString };

/** The members of a tar archive by name: regular files, and links to them. */
export type TarIndex = ReadonlyMap<ByteString, Member>;

/** An archive of an image has a few members for each layer. */
const MOST_MEMBERS = 20_000;
/** Of an extended header or a long name. */
const MOST_META = 1024 * 1024;
/** Links to links; docker's archives have one. */
const MOST_LINKS = 8;
const META_TYPES = ["x", "g", "L", "K", "X"];

/** What the headers before an entry say about it. */
interface Preceding {
  pax: PaxRecords;
  longName: ByteString | undefined;
  longLink: ByteString | undefined;
}

/**
 * Reads the headers of an uncompressed archive, and skips the data. Members that are no regular files or links are left out, as are sparse
 * ones, which no tool writes into an image's archive. Of several members of a name the last one counts, as when it is unpacked.
 *
 * @param size bytes of the archive
 * @throws UnpackError if it is not a tar archive, is cut off or has too many members; the error of the system
 */
export async function indexTar(fd: number, size: number, signal?: AbortSignal): Promise<TarIndex> {
  const members = new Map<ByteString, Member>();
  let before: Preceding = { pax: new Map(), longName: undefined, longLink: undefined };
  let found = 0;
  for (let at = 0; at < size; ) {
    signal?.throwIfAborted();
    const block = await readAt(fd, at, BLOCK);
    if (block.length < BLOCK) throw new UnpackError(at === 0 ? "it is not a tar archive" : "it is truncated");
    const header = parseHeader(block);
    if (header === undefined) break;
    at += BLOCK;
    found += 1;
    if (found > MOST_MEMBERS) throw new UnpackError(`it has more than ${MOST_MEMBERS} members`);
    if (META_TYPES.includes(header.type)) {
      if (header.size > MOST_META) throw new UnpackError("an extended header is too long");
      takeMeta(before, header.type, await readAt(fd, at, header.size));
      at += padded(header.size);
      continue;
    }
    const overrides = paxOverrides(before.pax);
    const name = memberName(overrides.path ?? before.longName ?? header.name);
    const bytes = hasData(header.type) ? (overrides.size ?? header.size) : 0;
    if (at + bytes > size) throw new UnpackError("it is truncated");
    members.delete(name);
    if (header.type === "1" || header.type === "2") {
      const written = overrides.link ?? before.longLink ?? header.link;
      // A hard link names a member, a symlink a path from its own directory.
      members.set(name, { kind: "link", target: header.type === "1" ? written : join(dirname(name), written) });
    } else if ((header.type === "0" || header.type === "7") && paxSparse(before.pax) === undefined) {
      members.set(name, { kind: "file", offset: at, size: bytes });
    }
    before = { pax: new Map(), longName: undefined, longLink: undefined };
    at += padded(bytes);
  }
  return members;
}

/**
 * Where a member's content is, links followed; undefined if the archive has no such file.
 *
 * @param name as in a text of the archive
 */
export function findMember(index: TarIndex, name: string): FileRange | undefined {
  let wanted = memberName(Buffer.from(name, "utf8").toString("latin1"));
  for (let links = 0; links <= MOST_LINKS; links += 1) {
    const member = index.get(wanted);
    if (member === undefined) return undefined;
    if (member.kind === "file") return { offset: member.offset, size: member.size };
    wanted = memberName(member.target);
  }
  return undefined;
}

/** A name without "./", slashes at its ends and "..": these stay within the archive. */
function memberName(written: ByteString): ByteString {
  return join("/", written).replace(/^\/+|\/+$/g, "");
}

function takeMeta(before: Preceding, type: string, content: Buffer): void {
  if (type === "L") before.longName = textAt(content, 0, content.length);
  else if (type === "K") before.longLink = textAt(content, 0, content.length);
  // Go's reader, and so docker and skopeo, ignores global headers.
  else if (type !== "g") before.pax = parsePax(content);
}

/** Types whose size is that of data that follows. */
function hasData(type: string): boolean {
  return !["1", "2", "3", "4", "5", "6"].includes(type);
}

function padded(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK;
}
