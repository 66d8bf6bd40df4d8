import { describe, expect, test } from "bun:test";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { parseReference } from "../../values/image-reference";
import { evaluate, type ReadyRequirement } from "./evaluate";
import { type ImageSignature, readKey } from "./payload";

const DIGEST = `sha256:${"1".repeat(64)}`;
const LIST = `sha256:${"2".repeat(64)}`;
const reference = parseReference("r.lan/team/app:1");
const image = { reference, digests: [DIGEST, LIST] };

const pairs = {
  ecdsa: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  rsa: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ed25519: generateKeyPairSync("ed25519"),
  p384: generateKeyPairSync("ec", { namedCurve: "P-384" }),
};

interface Parts {
  readonly digest?: string;
  readonly name?: string;
  readonly type?: string;
  readonly more?: object;
}

function payload({
  digest = DIGEST,
  name = "r.lan/team/app:1",
  type = "cosign container image signature",
  more,
}: Parts = {}) {
  const identity = { "docker-reference": name };
  const critical = { type, image: { "docker-manifest-digest": digest }, identity, ...more };
  return Buffer.from(JSON.stringify({ critical, optional: null }));
}

function signed(content: Buffer, key: KeyObject = pairs.ecdsa.privateKey): ImageSignature {
  const algorithm = key.asymmetricKeyType === "ed25519" ? null : "sha256";
  return { payload: content, signature: sign(algorithm, content, key).toString("base64") };
}

function requirement(...keys: readonly KeyObject[]): ReadyRequirement {
  return { type: "sigstoreSigned", keys, signedIdentity: { type: "matchRepoDigestOrExact" } };
}
const usual = requirement(pairs.ecdsa.publicKey);
const fine = signed(payload());

test.each(Object.entries(pairs))("a signature with %s", (_, { publicKey, privateKey }) => {
  expect(evaluate([requirement(publicKey)], image, [signed(payload(), privateKey)])).toBeUndefined();
});

test("of the list of the image's platforms, of one key of several, beside others", () => {
  expect(evaluate([usual], image, [signed(payload({ digest: LIST }))])).toBeUndefined();
  expect(evaluate([requirement(pairs.rsa.publicKey, pairs.ecdsa.publicKey)], image, [fine])).toBeUndefined();
  expect(evaluate([usual], image, [signed(payload({ name: "r.lan/b:1" })), fine])).toBeUndefined();
});

describe("refused", () => {
  const flipped = Buffer.from(payload().toString().replace("1111", "1112"));
  test.each<[string, ImageSignature, string]>([
    ["another key", signed(payload(), pairs.p384.privateKey), "not made by a key of the policy"],
    ["another kind of key", signed(payload(), pairs.ed25519.privateKey), "not made by a key of the policy"],
    ["a changed payload", { ...fine, payload: flipped }, "not made by a key of the policy, or changed afterwards"],
    ["a cut-off payload", { ...fine, payload: fine.payload.subarray(0, -1) }, "not made by a key of the policy"],
    ["a cut-off signature", { ...fine, signature: fine.signature.slice(0, -8) }, "not made by a key of the policy"],
    ["an empty signature", { ...fine, signature: "" }, "not made by a key of the policy"],
    ["another image", signed(payload({ digest: `sha256:${"3".repeat(64)}` })), 'made for "sha256:333'],
    ["another repository", signed(payload({ name: "r.lan/team/other:1" })), 'made for the name "r.lan/team/other:1"'],
    ["cosign's name", signed(payload({ name: "r.lan/team/app" })), "needs matchRepository or exactRepository"],
    ["another type", signed(payload({ type: "attestation" })), "not the signature of an image"],
    ["unknown critical parts", signed(payload({ more: { until: 5 } })), "not the signature of an image"],
    ["no JSON", signed(Buffer.from("x")), "not the signature of an image"],
  ])("%s", (_, signature, why) => expect(evaluate([usual], image, [signature])).toContain(why));

  test.each<[readonly ReadyRequirement[], string]>([
    [[usual], "it requires a signature, and the image has none"],
    [[{ type: "insecureAcceptAnything" }, { type: "reject" }], "it rejects the image"],
    [[{ type: "unsupported", what: "signedBy" }], "it requires signedBy, which this driver does not verify"],
  ])("%j", (requirements, why) => expect(evaluate(requirements, image, [])).toContain(why));

  test("an image in files, if a signature is required", () => {
    expect(evaluate([usual], { reference: undefined, digests: [DIGEST] }, [])).toContain(
      "only signatures of images in registries",
    );
    expect(evaluate([{ type: "insecureAcceptAnything" }], { reference: undefined, digests: [] }, [])).toBeUndefined();
  });

  test("unless every requirement is fulfilled", () => {
    const both = [usual, requirement(pairs.rsa.publicKey)];
    expect(evaluate(both, image, [fine])).toContain("not made by a key");
    expect(evaluate(both, image, [fine, signed(payload(), pairs.rsa.privateKey)])).toBeUndefined();
  });
});

describe("keys", () => {
  const weak = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const pem = (key: KeyObject, type: "spki" | "pkcs8" = "spki") => key.export({ type, format: "pem" });
  test("of the supported kinds are read", () => {
    for (const { publicKey } of Object.values(pairs)) expect(readKey(pem(publicKey), "k").equals(publicKey)).toBe(true);
  });
  test.each([
    ["a private key", pem(pairs.ecdsa.privateKey, "pkcs8"), "it has to be a public key in PEM"],
    ["a short RSA key", pem(weak.publicKey), "an RSA key has to have at least 2048"],
    ["another kind", pem(generateKeyPairSync("x25519").publicKey), '"x25519"'],
    ["a damaged one", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "it is damaged"],
    ["nothing", "", "it has to be a public key in PEM"],
  ])("%s is refused", (_, text, why) => {
    expect(() => readKey(text, "/k.pub")).toThrow("The public key /k.pub cannot be used");
    expect(() => readKey(text, "/k.pub")).toThrow(why);
  });
});
