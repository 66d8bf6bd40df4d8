import { expect, test } from "bun:test";
import { isForImportd } from "./request";

test.each([
  ["https://example.com/a.tar.xz", true],
  ["http://example.com:8080/a.raw", true],
  ["https://user@example.com/a.tar", false],
  ["https://user:pw@example.com/a.tar", false],
  ["https://:pw@example.com/a.tar", false],
  ["https://example.com/a.tar?X-Amz-Signature=abc", false],
  ["https://example.com/a.tar#token", false],
  ["https://example.com/a.tar.zst", false],
  ["file:///srv/a.tar", false],
] as const)("systemd-importd gets %s: %p", (url, expected) => expect(isForImportd(new URL(url))).toBe(expected));
