import { expect, test } from "bun:test";
import { cpuMs, fuzz, textLike } from "../../test/support/fuzz";
import { formatReference, ImageReferenceError, parseReference } from "./image-reference";

const digest = `sha256:${"a".repeat(64)}`;
const good = [
  "alpine",
  "docker://a.b:5000/c/d:tag",
  `localhost/x@${digest}`,
  "[::1]:5000/a/b-c__d.e:v1",
  "oci://x/y:z",
];

test("references are parsed or rejected, and survive formatting", () => {
  fuzz(
    textLike(...good),
    (text) => {
      const reference = parseReference(text);
      expect(parseReference(formatReference(reference))).toEqual(reference);
    },
    [ImageReferenceError],
    5_000,
  );
});

test.each(["a", "a-", "a.", "-", "/", ":", "@", "a/", "A.", "_"])(
  "one with %j a hundred thousand times is parsed quickly",
  (part) => {
    const begin = cpuMs();
    for (const text of [part.repeat(100_000), `x/${part.repeat(100_000)}!`, `${part.repeat(100_000)}/x`]) {
      expect(() => parseReference(text)).toThrow(ImageReferenceError);
    }
    expect(cpuMs() - begin).toBeLessThan(1_000);
  },
);
