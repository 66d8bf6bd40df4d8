import { describe, expect, test } from "bun:test";
import { BUNDLE_TYPE } from "../signature/bundle";
import { type Descriptor, SourceError, type SourceProblem } from "../source";
import { imageSignatures, referrersOf, signaturesOf } from "./signatures";

const hex = (digit: string) => `sha256:${digit.repeat(64)}`;
const TYPE = "application/vnd.dev.cosign.simplesigning.v1+json";
const ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json";
const layer = (digit: string, more: object = {}) => ({
  ...{ mediaType: TYPE, digest: hex(digit), size: 10 },
  ...{ annotations: { "dev.cosignproject.cosign/signature": `signature ${digit}` }, ...more },
});
const manifest = (...layers: readonly object[]) => JSON.stringify({ schemaVersion: 2, config: {}, layers });
const list = (...manifests: readonly object[]) => JSON.stringify({ schemaVersion: 2, manifests });

describe("a signature's manifest", () => {
  test("has a payload for each signature", () => {
    const [one, other, ...more] = signaturesOf(manifest(layer("1"), layer("2")));
    expect(one).toEqual({ descriptor: { mediaType: TYPE, digest: hex("1"), size: 10 }, signature: "signature 1" });
    expect([other?.signature, more.length]).toEqual(["signature 2", 0]);
  });
  test.each([
    ["another type", manifest(layer("1", { mediaType: "text/plain" }))],
    ["no signature", manifest(layer("1", { annotations: {} }))],
    ["null annotations", manifest(layer("1", { annotations: null }))],
    ["a huge payload", manifest(layer("1", { size: 1e9 }))],
    ["no digest", manifest(layer("1", { digest: "x" }))],
    ["no JSON", "<html>"],
  ])("with %s has none", (_, text) => expect(signaturesOf(text)).toEqual([]));
});

test("a bundle has its signature in itself", () => {
  const bundle = { mediaType: BUNDLE_TYPE, digest: hex("1"), size: 3000, annotations: null };
  const { annotations: _, ...descriptor } = bundle;
  expect(signaturesOf(manifest(bundle))).toEqual([{ descriptor, signature: undefined }]);
  expect(signaturesOf(manifest({ ...bundle, size: 1e9 }))).toEqual([]);
});

test("of a list of referrers only signatures count", () => {
  const others = [{ digest: hex("2"), artifactType: "application/spdx+json" }, { digest: hex("3") }];
  expect(referrersOf(list({ digest: hex("1"), artifactType: ARTIFACT }, ...others), ARTIFACT)).toEqual([hex("1")]);
  expect(referrersOf("<html>", ARTIFACT)).toEqual([]);
});

/** A repository with these manifests; undefined referrers: the registry has no such interface. */
function repository(
  manifests: Readonly<Record<string, string>>,
  referrers?: string | SourceProblem,
  recoverable = false,
) {
  const fail = (problem: SourceProblem) => new SourceError("x", { problem, recoverable });
  return {
    manifest: async (version: string) => {
      const text = manifests[version];
      if (text === undefined) throw fail("not found");
      return Buffer.from(text);
    },
    referrers: async () => {
      if (referrers === undefined || referrers === "not found") throw fail("not found");
      if (referrers === "server") throw fail("server");
      return Buffer.from(referrers);
    },
    content: async ({ digest }: Descriptor) => Buffer.from(`payload ${digest.slice(7, 8)}`),
  };
}

async function read(from: Parameters<typeof imageSignatures>[0]): Promise<readonly string[]> {
  const groups = await Array.fromAsync(imageSignatures(from, hex("a")));
  return groups.flat().map(({ payload, signature }) => `${payload}: ${signature}`);
}

describe("an image's signatures", () => {
  const tag = `sha256-${"a".repeat(64)}`;
  const referrer = { digest: hex("b"), artifactType: ARTIFACT };
  test("are those of its tag, then those of its referrers", async () => {
    const manifests = { [`${tag}.sig`]: manifest(layer("1")), [hex("b")]: manifest(layer("2")) };
    expect(await read(repository(manifests, list(referrer)))).toEqual([
      "payload 1: signature 1",
      "payload 2: signature 2",
    ]);
  });
  test.each<[string, string | undefined]>([
    ["does not know", undefined],
    ["refuses to list", "server"],
  ])("are found by a tag if the registry %s referrers", async (_, answer) => {
    const manifests = { [tag]: list(referrer), [hex("b")]: manifest(layer("2")) };
    expect(await read(repository(manifests, answer))).toEqual(["payload 2: signature 2"]);
  });
  test("are also in bundles", async () => {
    const envelope = { payload: "e30=", payloadType: "t", signatures: [{ sig: "of the bundle" }] };
    const bundle = JSON.stringify({ mediaType: BUNDLE_TYPE, dsseEnvelope: envelope });
    const manifests = {
      [tag]: list({ digest: hex("b"), artifactType: BUNDLE_TYPE }),
      [hex("b")]: manifest({ mediaType: BUNDLE_TYPE, digest: hex("1"), size: 10 }),
    };
    const content = async () => Buffer.from(bundle);
    expect(await read({ ...repository(manifests), content })).toEqual(["{}: of the bundle"]);
    expect(await read(repository(manifests))).toEqual([]);
  });
  test("do not exist", async () => expect(await read(repository({}))).toEqual([]));
  test("cannot be asked for", async () => expect(read(repository({}, "server", true))).rejects.toThrow(SourceError));
});
