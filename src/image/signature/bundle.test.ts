import { describe, expect, test } from "bun:test";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { parseReference } from "../../values/image-reference";
import { BUNDLE_TYPE, envelopeBytes, parseBundle } from "./bundle";
import { evaluate, type ReadyRequirement } from "./evaluate";
import { type ImageSignature, isSignedBy } from "./payload";
import type { IdentityRule } from "./policy-file";

const HEX = "1".repeat(64);
const TYPE = "application/vnd.in-toto+json";
const image = { reference: parseReference("r.lan/team/app:1"), digests: [`sha256:${HEX}`] };
const pairs = {
  p256: [generateKeyPairSync("ec", { namedCurve: "P-256" }), "sha256"],
  p384: [generateKeyPairSync("ec", { namedCurve: "P-384" }), "sha384"],
  p521: [generateKeyPairSync("ec", { namedCurve: "P-521" }), "sha512"],
  rsa: [generateKeyPairSync("rsa", { modulusLength: 3072 }), "sha256"],
  ed25519: [generateKeyPairSync("ed25519"), null],
} as const;
const [usual] = pairs.p256;

/** As `cosign sign` states it (cosign v3, cmd/cosign/cli/sign/sign.go). */
const statement = (more: object = {}, subject: object = {}) => ({
  _type: "https://in-toto.io/Statement/v1",
  subject: [{ digest: { sha256: HEX }, ...subject }],
  predicateType: "https://sigstore.dev/cosign/sign/v1",
  predicate: {},
  ...more,
});

interface Parts {
  readonly type?: string;
  readonly signedType?: string;
  readonly key?: KeyObject;
  readonly algorithm?: string | null;
}

/** A bundle by the specifications, made with node:crypto. */
function bundle(content: object, { type = TYPE, signedType = type, key = usual.privateKey, algorithm }: Parts = {}) {
  const payload = Buffer.from(JSON.stringify(content));
  const sig = sign(algorithm === undefined ? "sha256" : algorithm, envelopeBytes(signedType, payload), key);
  return {
    mediaType: BUNDLE_TYPE,
    verificationMaterial: { publicKey: { hint: "aGludA==" }, tlogEntries: [], timestampVerificationData: {} },
    dsseEnvelope: {
      payload: payload.toString("base64"),
      payloadType: type,
      signatures: [{ sig: sig.toString("base64"), keyid: "" }],
    },
  };
}

const read = (value: object): ImageSignature[] => {
  const parsed = parseBundle(JSON.stringify(value));
  return parsed === undefined ? [] : [parsed];
};
const requirement = (rule: IdentityRule, key = usual.publicKey): ReadyRequirement => ({
  ...{ type: "sigstoreSigned", keys: [key], signedIdentity: rule },
});
const byDigest = requirement({ type: "matchDigest" });
const check = (value: object, by = byDigest) => evaluate([by], image, read(value));

test("the signed bytes of an envelope are those of the specification's example", () => {
  const text = envelopeBytes("http://example.com/HelloWorld", Buffer.from("hello world")).toString();
  expect(text).toBe("DSSEv1 29 http://example.com/HelloWorld 11 hello world");
});

describe("accepted", () => {
  test.each(Object.entries(pairs))("by a key of %s", (_, [{ publicKey, privateKey }, algorithm]) => {
    const value = bundle(statement(), { key: privateKey, algorithm });
    expect(check(value, requirement({ type: "matchDigest" }, publicKey))).toBeUndefined();
  });
  test("with a name, if it is the one of the policy", () => {
    const value = bundle(statement({}, { name: "r.lan/team/app" }));
    expect(check(value, requirement({ type: "matchRepository" }))).toBeUndefined();
    expect(
      check(bundle(statement({}, { name: "r.lan/team/app:1" })), requirement({ type: "matchExact" })),
    ).toBeUndefined();
  });
  test("with the image among several subjects", () => {
    const subject = [{ digest: { sha256: "2".repeat(64) } }, { digest: { sha256: HEX } }];
    expect(check(bundle(statement({ subject })))).toBeUndefined();
  });
});

describe("refused", () => {
  const good = bundle(statement());
  const cut = Buffer.from(good.dsseEnvelope.payload, "base64").subarray(0, -1).toString("base64");
  test.each<[string, object, string]>([
    ["another key", bundle(statement(), { key: pairs.p384[0].privateKey }), "not made by a key of the policy"],
    ["a cut-off payload", { ...good, dsseEnvelope: { ...good.dsseEnvelope, payload: cut } }, "or changed afterwards"],
    ["another type than was signed", bundle(statement(), { signedType: "text/plain" }), "or changed afterwards"],
    ["a payload of another type", bundle(statement(), { type: "text/plain" }), "not the signature of an image"],
    ["an attestation", bundle(statement({ predicateType: "https://slsa.dev/provenance/v1" })), "not the signature"],
    ["another statement", bundle(statement({ _type: "x" })), "not the signature of an image"],
    ["no subject", bundle(statement({ subject: [] })), "not the signature of an image"],
    ["another image", bundle(statement({}, { digest: { sha256: "3".repeat(64) } })), 'made for "sha256:333'],
    ["another algorithm's digest", bundle(statement({}, { digest: { sha512: HEX } })), 'made for "sha512:111'],
    ["a bundle of a file's signature", { mediaType: BUNDLE_TYPE, messageSignature: {} }, "the image has none"],
    ["two signatures", { ...good, dsseEnvelope: { ...good.dsseEnvelope, signatures: [1, 2] } }, "the image has none"],
    ["an older bundle", { ...good, mediaType: "application/vnd.dev.sigstore.bundle+json;version=0.2" }, "has none"],
  ])("%s", (_, value, why) => expect(check(value)).toContain(why));

  test("a signature without a name, where the policy wants one", () => {
    for (const type of ["matchRepoDigestOrExact", "matchExact", "matchRepository"] as const)
      expect(check(good, requirement({ type }))).toContain("which needs matchDigest as signedIdentity");
    const named = bundle(statement({}, { name: "r.lan/team/other" }));
    expect(check(named, requirement({ type: "matchRepository" }))).toContain('made for the name "r.lan/team/other"');
  });

  test("a payload of an envelope as one without, and the reverse", () => {
    const [its] = read(good);
    if (its === undefined) throw new Error("not parsed");
    const { payloadType: _, ...bare } = its;
    expect([isSignedBy(its, [usual.publicKey]), isSignedBy(bare, [usual.publicKey])]).toEqual([true, false]);
  });
});
