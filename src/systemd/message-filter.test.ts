import { expect, test } from "bun:test";
import { MessageFilter } from "./message-filter";

/** A message as the D-Bus specification has it: fixed header, fields of type "s", "o", "g" or "u", body. */
function message(
  type: number,
  fields: readonly (readonly [code: number, type: string, value: string | number])[],
  body = 0,
) {
  const parts: Buffer[] = [];
  const length = () => parts.reduce((sum, part) => sum + part.length, 0);
  const pad = (to: number) => parts.push(Buffer.alloc((to - (length() % to)) % to));
  const number = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  for (const [code, signature, value] of fields) {
    pad(8);
    parts.push(Buffer.from([code, 1, signature.charCodeAt(0), 0]));
    if (typeof value === "number") parts.push(number(value));
    else if (signature === "g") parts.push(Buffer.from([value.length]), Buffer.from(`${value}\0`));
    else parts.push(number(value.length), Buffer.from(`${value}\0`));
  }
  const size = length();
  pad(8);
  return Buffer.concat([
    Buffer.from(["l".charCodeAt(0), type, 0, 1]),
    number(body),
    number(7),
    number(size),
    ...parts,
    Buffer.alloc(body),
  ]);
}

const signal = (path: string, member: string, body = 40) =>
  message(
    4,
    [
      [8, "g", "sa{sv}as"],
      [1, "o", path],
      [9, "u", 1],
      [2, "s", "org.freedesktop.DBus.Properties"],
      [3, "s", member],
    ],
    body,
  );
const reply = message(2, [[5, "u", 3]], 9);
const filter = () => new MessageFilter(({ path, member }) => path === "/mine" || member === "JobRemoved");

test.each([
  ["a signal of a wanted path", signal("/mine", "PropertiesChanged"), true],
  ["a wanted signal of another path", signal("/", "JobRemoved"), true],
  ["another signal", signal("/other", "PropertiesChanged"), false],
  ["one without a body", signal("/other", "PropertiesChanged", 0), false],
  ["a reply", reply, true],
  ["a signal without a path, which the library is to judge", message(4, [[3, "s", "Odd"]]), true],
  ["a signal with a field of an unknown type", message(4, [[1, "q", 1]]), true],
  ["a message that is too large to be one", Buffer.concat([Buffer.from("l\x04\0\x01"), Buffer.alloc(16, 0xff)]), true],
  ["a line of the authentication", Buffer.from("AGREE_UNIX_FD\r\n"), true],
  ["a message of a big-endian peer", Buffer.from("B\x04\0\x01rest"), true],
])("%s", (_name, bytes, kept) => {
  expect(filter().push(bytes)).toEqual(kept ? bytes : undefined);
});

test("messages are found in any split of the stream", () => {
  const wanted = [reply, signal("/mine", "PropertiesChanged", 3), signal("/", "JobRemoved"), reply];
  const [first = reply, ...others] = wanted;
  const stream = Buffer.concat([signal("/a", "UnitNew"), first, signal("/b", "PropertiesChanged", 5), ...others]);
  for (const size of [1, 2, 7, 16, 100, stream.length]) {
    const own = filter();
    const kept: Buffer[] = [];
    for (let at = 0; at < stream.length; at += size)
      kept.push(own.push(stream.subarray(at, at + size)) ?? Buffer.alloc(0));
    expect(Buffer.concat(kept)).toEqual(Buffer.concat(wanted));
  }
});

test("random bytes are passed on or held, without an error", () => {
  for (let round = 0; round < 2000; round += 1) {
    const bytes = crypto.getRandomValues(Buffer.alloc(64));
    bytes.set([108, 4, 0, 1], 0);
    if (round % 2 === 0) bytes.writeUInt32LE(40, 12);
    filter().push(bytes);
  }
});
