import { describe, expect, test } from "bun:test";
import { nextStep, type Transfer, transferName } from "./importd-bus";
import type { MachineImage } from "./request";

const image: MachineImage = {
  name: "debian",
  url: new URL("https://user:secret@example.com/debian.tar.xz"),
  type: "tar",
  verify: "signature",
  force: false,
};
const transfer = (more: Partial<Transfer>): Transfer => ({
  id: 1,
  type: "pull-tar",
  remote: "https://elsewhere.example/x.tar",
  local: "x",
  path: "/org/freedesktop/import1/transfer/_1",
  ...more,
});

describe("transferName", () => {
  test("is a host name, which importd before 253 requires, and reveals no secret", () => {
    expect(transferName({ ...image, name: "n".repeat(255) })).toMatch(/^[a-z0-9-]{1,63}$/);
    expect(transferName(image)).not.toContain("secret");
  });

  test("differs for different requests, and is the same for equal ones", () => {
    const others: Partial<MachineImage>[] = [
      { name: "other" },
      { url: new URL("https://example.com/debian.tar.xz") },
      { type: "raw" },
      { verify: "no" },
    ];
    const names = others.map((more) => transferName({ ...image, ...more }));
    expect(new Set([transferName(image), ...names]).size).toBe(5);
    expect(transferName({ ...image, force: true })).toBe(transferName(image));
  });
});

describe("nextStep", () => {
  const same = transfer({ remote: image.url.href, local: transferName(image) });
  const changed = transfer({ remote: image.url.href, local: transferName({ ...image, verify: "no" }) });
  const stranger = transfer({ remote: image.url.href, local: "debian" });
  test.each([
    ["no transfers", [], "begin"],
    [
      "transfers of other images",
      [transfer({}), transfer({ local: transferName({ ...image, name: "other" }) })],
      "begin",
    ],
    ["the same as a disk image", [{ ...stranger, type: "pull-raw" }], "begin"],
    ["the same transfer", [transfer({}), same], "join"],
    ["the same with less verification", [changed], "cancel"],
    ["another request for that name", [transfer({ local: transferName({ ...image, type: "raw" }) })], "cancel"],
    ["another client's for the same URL", [stranger], "wait"],
  ] as const)("%s", (_, transfers, kind) => {
    expect(nextStep(transfers, image).kind).toBe(kind);
  });
});
