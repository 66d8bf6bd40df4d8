import { expect, test } from "bun:test";
import type { FdReader } from "../linux/fd-stream";
import { type OutputPiece, sessionOutput } from "./session-output";

/** A stream with these pieces, which then ends, or stays open for a background process. */
function stream(pieces: readonly string[], then: "ends" | "stays open" | "fails"): FdReader {
  const left = pieces.map((piece) => new TextEncoder().encode(piece));
  return {
    next: async () => {
      const piece = left.shift();
      if (piece !== undefined || then === "ends") return piece;
      if (then === "fails") throw new Error("EIO");
      return new Promise<never>(() => {});
    },
    unread: () => 0,
    close: async () => {},
  };
}

const end = { code: 0, signal: 0 };
const text = ({ stream: name, bytes }: OutputPiece) => `${name} ${bytes === undefined ? "ends" : Buffer.from(bytes)}`;

test.each([
  ["both streams end", ["a", "b"], "ends", ["stdout a", "stdout b", "stdout ends", "stderr e", "stderr ends"]],
  ["one that fails has ended", ["a"], "fails", ["stdout a", "stdout ends", "stderr e", "stderr ends"]],
  ["one that stays open ends with the command", ["a"], "stays open", ["stdout a", "stderr e", "stderr ends"]],
] as const)("%s", async (_name, pieces, then, expected) => {
  const output: string[] = [];
  const session = { stdout: stream(pieces, then), stderr: stream(["e"], "ends"), ended: Promise.resolve(end) };
  for await (const piece of sessionOutput(session)) output.push(text(piece));
  expect(output.toSorted()).toEqual([...expected].toSorted());
});

test("output after the command's end is still delivered, if it comes soon", async () => {
  const late = Promise.withResolvers<Uint8Array | undefined>();
  const stdout: FdReader = { ...stream([], "ends"), next: () => late.promise };
  setTimeout(() => late.resolve(undefined), 20);
  const output: string[] = [];
  for await (const piece of sessionOutput({ stdout, ended: Promise.reject(new Error("killed")) })) {
    output.push(text(piece));
  }
  expect(output).toEqual(["stdout ends"]);
});

test("a piece is freed when the next one is requested, and the next is read only then", async () => {
  const stdout = stream(["first", "second"], "ends");
  const pieces = sessionOutput({ stdout, ended: new Promise(() => {}) });
  const first = (await pieces.next()).value;
  expect(Buffer.from(first?.bytes ?? []).toString()).toBe("first");
  await pieces.next();
  expect(first?.bytes?.length).toBe(0);
});
