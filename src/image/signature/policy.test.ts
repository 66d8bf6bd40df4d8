import { describe, expect, test } from "bun:test";
import { parseReference } from "../../values/image-reference";
import { identityMatches } from "./identity";
import { type IdentityRule, parsePolicy } from "./policy-file";
import { requirementsFor, scopesOf } from "./requirements";

const policyOf = (value: unknown) => parsePolicy(JSON.stringify(value), "/p.json");
const ACCEPT = [{ type: "insecureAcceptAnything" }];
const REJECT = [{ type: "reject" }];
const DIGEST = `sha256:${"a".repeat(64)}`;

describe("a policy", () => {
  test("with keys has them as lists, and matchRepoDigestOrExact by default", () => {
    const signed = { type: "sigstoreSigned", keyPath: "/k.pub" };
    expect(policyOf({ default: [signed] }).default).toEqual([
      {
        type: "sigstoreSigned",
        keyPaths: ["/k.pub"],
        keyDatas: [],
        signedIdentity: { type: "matchRepoDigestOrExact" },
      },
    ]);
  });

  test.each([
    [{ type: "signedBy", keyType: "GPGKeys", keyPath: "/x" }, "signedBy (simple signing with GPG)"],
    [{ type: "sigstoreSigned", fulcio: {} }, "sigstoreSigned with fulcio"],
    [{ type: "sigstoreSigned", keyPath: "/k", rekorPublicKeyPath: "/r" }, "sigstoreSigned with rekorPublicKeyPath"],
    [{ type: "sigstoreSigned", pki: {} }, "sigstoreSigned with pki"],
  ])("%j is known, but not supported", (requirement, what) => {
    expect(policyOf({ default: [requirement] }).default).toEqual([{ type: "unsupported", what }]);
  });

  test.each<[unknown, string]>([
    [{}, "/p.json is not valid at default"],
    [{ default: [] }, "is not valid at default: it must not be empty"],
    [{ default: ACCEPT, more: 1 }, "is not valid at more"],
    [{ default: [{ type: "maybe" }] }, "is not valid at default.0.type"],
    [{ default: [{ type: "reject", why: "x" }] }, "is not valid at default.0.why"],
    [{ default: [{ type: "sigstoreSigned" }] }, "exactly one of keyPath"],
    [{ default: [{ type: "sigstoreSigned", keyPath: "/k", keyData: "x" }] }, "exactly one of keyPath"],
    [{ default: [{ type: "sigstoreSigned", keyPath: "k.pub" }] }, "is not valid at default.0.keyPath"],
    [{ default: [{ type: "sigstoreSigned", keyPath: "/k", signedIdentity: { type: "any" } }] }, "signedIdentity.type"],
    [
      { default: ACCEPT, transports: { docker: { "": [] } } },
      "is not valid at transports.docker.: it must not be empty",
    ],
  ])("%j is not valid", (value, sentence) => expect(() => policyOf(value)).toThrow(sentence));

  test("that is not JSON is not valid", () => {
    expect(() => parsePolicy("{", "/p.json")).toThrow("The signature policy /p.json is not valid: it is not JSON.");
  });
});

describe("scopes", () => {
  test.each([
    ["a.b.c:5000/x/y:1", ["a.b.c:5000/x/y:1", "a.b.c:5000/x/y", "a.b.c:5000/x", "a.b.c:5000", "*.b.c", "*.c", ""]],
    [
      "alpine",
      ["docker.io/library/alpine:latest", "docker.io/library/alpine", "docker.io/library", "docker.io", "*.io", ""],
    ],
    [`r.lan/a:1@${DIGEST}`, [`r.lan/a@${DIGEST}`, "r.lan/a", "r.lan", "*.lan", ""]],
    ["localhost:5000/a:1", ["localhost:5000/a:1", "localhost:5000/a", "localhost:5000", ""]],
  ])("%s", (name, scopes) => {
    expect(scopesOf({ transport: "docker", reference: parseReference(name) })).toEqual(scopes);
  });

  test("of files are paths", () => {
    expect(scopesOf({ transport: "oci", path: "/srv/images/app" })).toEqual([
      "/srv/images/app",
      "/srv/images",
      "/srv",
      "",
    ]);
    expect(scopesOf({ transport: "docker-archive", path: "/srv/a.tar" })).toEqual([""]);
  });

  test("the most specific one counts alone", () => {
    const policy = policyOf({
      default: REJECT,
      transports: {
        docker: { "r.lan/team": ACCEPT, "r.lan/team/bad": REJECT, "*.example.com": ACCEPT },
        oci: { "": ACCEPT },
      },
    });
    const scopeOf = (name: string) => requirementsFor(policy, { transport: "docker", reference: parseReference(name) });
    expect(scopeOf("r.lan/team/app:1")).toEqual({
      scope: '"r.lan/team" of docker',
      requirements: [{ type: "insecureAcceptAnything" }],
    });
    expect(scopeOf("r.lan/team/bad:1").requirements).toEqual([{ type: "reject" }]);
    expect(scopeOf("r.lan/teams/app:1").scope).toBe("the default");
    expect(scopeOf("x.example.com/a:1").scope).toBe('"*.example.com" of docker');
    expect(requirementsFor(policy, { transport: "oci", path: "/x" }).scope).toBe("the default of oci");
  });
});

describe("identities", () => {
  const exact: IdentityRule = { type: "matchExact" };
  const usual: IdentityRule = { type: "matchRepoDigestOrExact" };
  const repository: IdentityRule = { type: "matchRepository" };
  const remap: IdentityRule = { type: "remapIdentity", prefix: "cache.lan/hub", signedPrefix: "docker.io" };
  const exactly: IdentityRule = { type: "exactReference", dockerReference: "docker.io/library/a:1" };
  const inRepository: IdentityRule = { type: "exactRepository", dockerRepository: "docker.io/library/a" };

  test.each<[IdentityRule, string, string, boolean]>([
    [usual, "r.lan/a:1", "r.lan/a:1", true],
    [usual, "r.lan/a:1", "r.lan/a:2", false],
    [usual, "r.lan/a:1", "r.lan/b:1", false],
    [usual, "r.lan/a:1", "r.lan/a", false],
    [usual, "r.lan/a", "r.lan/a", false],
    [usual, "r.lan/a:latest", "r.lan/a:latest", true],
    [usual, `r.lan/a@${DIGEST}`, "r.lan/a:7", true],
    [usual, `r.lan/a@${DIGEST}`, "r.lan/b:7", false],
    [usual, `r.lan/a@${DIGEST}`, "r.lan/a", false],
    [usual, "r.lan/a:1", `r.lan/a:1@${DIGEST}`, false],
    [usual, "r.lan:5000/a:1", "r.lan:5000/a", false],
    [exact, "r.lan/a:1", "r.lan/a:1", true],
    [exact, `r.lan/a@${DIGEST}`, "r.lan/a:1", false],
    [exact, `r.lan/a@${DIGEST}`, `r.lan/a@${DIGEST}`, true],
    [repository, "r.lan/a:1", "r.lan/a", true],
    [repository, "r.lan/a:1", "r.lan/a:2", true],
    [repository, "r.lan/a:1", "r.lan/a/b", false],
    [repository, "alpine:3", "index.docker.io/library/alpine", true],
    [exactly, "mirror.lan/a:1", "docker.io/library/a:1", true],
    [exactly, "mirror.lan/a:1", "a:1", true],
    [exactly, "mirror.lan/a:1", "a:2", false],
    [exactly, "mirror.lan/a:1", "a", false],
    [inRepository, "mirror.lan/a:1", "a", true],
    [inRepository, "mirror.lan/a:1", "b", false],
    [remap, "cache.lan/hub/library/a:1", "docker.io/library/a:1", true],
    [remap, "cache.lan/hub/library/a:1", "cache.lan/hub/library/a:1", false],
    [remap, "cache.lan/hubs/a:1", "cache.lan/hubs/a:1", true],
    [repository, "r.lan/a:1", "docker://r.lan/a:1", false],
    [repository, "r.lan/a:1", "", false],
    [repository, "r.lan/a:1", "R.lan/A", false],
  ])("%j of %s by %j is %p", (rule, image, signed, matches) => {
    expect(identityMatches(rule, parseReference(image), signed)).toBe(matches);
  });
});
