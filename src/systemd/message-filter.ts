/** Bytes of a message before its header fields (D-Bus specification, "Message Format"). */
const FIXED_HEADER = 16;
const LITTLE_ENDIAN = "l".charCodeAt(0);
const SIGNAL = 4;
/** A message has at most 128 MiB by the specification; the library refuses larger ones with an error. */
const MAX_SIZE = 128 * 1024 * 1024;
/** Header fields by their code. */
const PATH = 1;
const MEMBER = 3;

/** The header of a signal, as far as it decides whether the signal is of interest. */
export interface SignalHeader {
  readonly path: string;
  readonly member: string;
}

/**
 * Removes unwanted signals from a stream of D-Bus messages before they are decoded. PID 1 sends every connection that has subscribed the
 * changes of all units, several dozens for each container that starts, and a match rule needs a bus daemon. What cannot be read here passes
 * unchanged, so that the library reports the error.
 */
export class MessageFilter {
  #rest: Buffer = Buffer.alloc(0);

  constructor(private readonly wanted: (signal: SignalHeader) => boolean) {}

  /** The wanted messages that are complete with this data, unchanged, in order; undefined if there are none. */
  push(data: Buffer): Buffer | undefined {
    const buffer = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    const kept: Buffer[] = [];
    let start = 0;
    while (start < buffer.length) {
      const size = messageSize(buffer.subarray(start));
      const end = size === undefined ? buffer.length : start + size;
      if (end > buffer.length) break;
      const message = buffer.subarray(start, end);
      const signal = size === undefined ? undefined : signalHeader(message);
      if (signal === undefined || this.wanted(signal)) kept.push(message);
      start = end;
    }
    this.#rest = Buffer.from(buffer.subarray(start));
    return kept.length === 0 ? undefined : Buffer.concat(kept);
  }
}

const align = (offset: number, to: number) => Math.ceil(offset / to) * to;

/** The size of the message that these bytes begin, infinite while it is unknown; undefined for a line of the authentication, or invalid data. */
function messageSize(bytes: Buffer): number | undefined {
  if (bytes[0] !== LITTLE_ENDIAN) return undefined;
  if (bytes.length < FIXED_HEADER) return Number.POSITIVE_INFINITY;
  const size = align(FIXED_HEADER + bytes.readUInt32LE(12), 8) + bytes.readUInt32LE(4);
  return size > MAX_SIZE ? undefined : size;
}

/** Undefined for a message that is not a signal, or has a header that cannot be read. */
function signalHeader(message: Buffer): SignalHeader | undefined {
  if (message[1] !== SIGNAL) return undefined;
  const end = FIXED_HEADER + message.readUInt32LE(12);
  const texts = new Map<number, string>();
  for (let at = FIXED_HEADER; at + 4 < end; ) {
    const code = message[at] ?? 0;
    const type = String.fromCharCode(message[at + 2] ?? 0);
    // A field is its code and a variant; each of the specification's has a type of one letter.
    if (message[at + 1] !== 1) return undefined;
    const value = align(at + 4, type === "g" ? 1 : 4);
    if (value + 4 > end) return undefined;
    if (type === "s" || type === "o") {
      const length = message.readUInt32LE(value);
      texts.set(code, message.toString("latin1", value + 4, Math.min(value + 4 + length, end)));
      at = align(value + 4 + length + 1, 8);
    } else if (type === "g") at = align(value + (message[value] ?? 0) + 2, 8);
    else if (type === "u") at = align(value + 4, 8);
    else return undefined;
  }
  const path = texts.get(PATH);
  const member = texts.get(MEMBER);
  return path === undefined || member === undefined ? undefined : { path, member };
}
