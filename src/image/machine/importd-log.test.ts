import { describe, expect, test } from "bun:test";
import { failureOf, progressOf } from "./importd-log";

const subject = { name: 'image "debian"', host: "example.com" };
/** Lines as systemd-importd 257 sends them, with the facility of daemons. */
const info = (text: string) => ({ priority: 30, text });
const notice = (text: string) => ({ priority: 29, text });
const error = (text: string) => ({ priority: 27, text });

describe("failureOf", () => {
  test.each([
    [
      [
        info("Operating on image directory '/var/lib/machines'."),
        notice("HTTP request to https://me:geheim@example.com/a.tar?token=geheim failed with code 404."),
        error("Failed to retrieve image file. (Wrong URL?)"),
        info("Exiting."),
      ],
      "not found",
      false,
      'systemd-importd could not download image "debian" from example.com: HTTP request to https://example.com/a.tar failed with code 404. Failed to retrieve image file. (Wrong URL?).',
    ],
    [
      [
        notice("HTTP request to https://example.com/a.nspawn failed with code 404."),
        info("Settings file could not be retrieved, proceeding without."),
        error("DOWNLOAD INVALID: Checksum of a.tar.xz file did not check out, file has been tampered with."),
      ],
      "content",
      false,
      'systemd-importd could not download image "debian" from example.com: DOWNLOAD INVALID: Checksum of a.tar.xz file did not check out, file has been tampered with.',
    ],
    [[notice("HTTP request to https://example.com/a failed with code 503.")], "server", true, undefined],
    [[notice("HTTP request to https://example.com/a failed with code 401.")], "unauthorized", false, undefined],
    [[error("Transfer failed: Could not resolve hostname")], "name", true, undefined],
    [[error("Failed to allocate puller: Operation not supported")], "unsupported", false, undefined],
    [[error("Transfer failed: Couldn't connect to server")], "connection", true, undefined],
    [[error("Transfer failed: SSL peer certificate or SSH remote key was not OK")], "certificate", false, undefined],
    [
      [],
      "content",
      false,
      'systemd-importd could not download image "debian" from example.com: it gave no reason (see journalctl -u systemd-importd).',
    ],
  ] as const)("%j", (lines, problem, recoverable, message) => {
    const found = failureOf(subject, lines);
    expect(found).toMatchObject({ problem, recoverable });
    if (message !== undefined) expect(found.message).toBe(message);
  });
});

test.each([
  ["Got 35% of https://example.com/a.tar. 2min 3s left at 1.2M/s.", 35],
  ["Got 100% of x.", 100],
  ["Downloading 885.4K for https://example.com/a.tar.", undefined],
  ["Acquired 10K.", undefined],
] as const)("progressOf %p", (text, percent) => expect(progressOf(text)).toBe(percent));
