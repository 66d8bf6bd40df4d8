import { expect, test } from "bun:test";
import { lastBytes } from "./journal";

async function* parts(texts: readonly string[]) {
  for (const text of texts) yield Buffer.from(text);
}

test.each<[string, string[], number, string]>([
  ["all of a short output", ["ab", "cd"], 10, "abcd"],
  ["the end of a long output", ["ab", "cd", "ef"], 3, "def"],
  ["the end of one long part", ["abcdef"], 2, "ef"],
  ["nothing of an empty output", [], 2, ""],
])("of what journalctl prints is kept: %s", async (_, texts, most, expected) => {
  expect(await lastBytes(parts(texts), most)).toBe(expected);
});
