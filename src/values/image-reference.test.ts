import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatReference, isLocalRegistry, parseReference, registryHost } from "./image-reference";

const sha256 = `sha256:${"a".repeat(64)}`;
const sha512 = `sha512:${"b".repeat(128)}`;

describe("parseReference", () => {
  test.each([
    ["alpine", "docker.io/library/alpine:latest"],
    ["alpine:3.20", "docker.io/library/alpine:3.20"],
    ["grafana/loki", "docker.io/grafana/loki:latest"],
    ["docker.io/alpine", "docker.io/library/alpine:latest"],
    ["index.docker.io/library/alpine", "docker.io/library/alpine:latest"],
    ["docker://alpine", "docker.io/library/alpine:latest"],
    ["oci://ghcr.io/a/b:c", "ghcr.io/a/b:c"],
    ["ghcr.io/a/b/c", "ghcr.io/a/b/c:latest"],
    ["localhost/a", "localhost/a:latest"],
    ["localhost:5000/a:b", "localhost:5000/a:b"],
    ["registry:5000/a", "registry:5000/a:latest"],
    ["Registry/a", "Registry/a:latest"],
    ["[::1]:5000/a:b", "[::1]:5000/a:b"],
    [`alpine@${sha256}`, `docker.io/library/alpine@${sha256}`],
    [`quay.io/a/b:1@${sha512}`, `quay.io/a/b:1@${sha512}`],
    ["a/b__c-d---e.f_g", "docker.io/a/b__c-d---e.f_g:latest"],
  ] as const)("%s", (text, full) => expect(formatReference(parseReference(text))).toBe(full));

  test.each([
    ["", /the image's name is missing/],
    ["docker://", /the image's name is missing/],
    ["localhost/", /the image's name is missing/],
    ["Alpine", /"Alpine" cannot be part of an image's name/],
    ["a//b", /"" cannot be part/],
    ["a/../b", /"\.\." cannot be part/],
    ["ghcr.io/a b", /"a b" cannot be part/],
    ["alpine:", /"" is not a tag/],
    ["alpine:a/b:", /"" is not a tag/],
    ["alpine:-x", /"-x" is not a tag/],
    [`alpine:${"x".repeat(129)}`, /is not a tag/],
    ["alpine@sha256:abc", /after "@" it must have/],
    [`alpine@${sha256.toUpperCase()}`, /after "@" it must have/],
    [`alpine@${sha256}@${sha256}`, /more than one "@"/],
    ["-bad.host/a", /"-bad\.host" is not a registry host/],
    ["host:99999/a", /"host:99999" is not a registry host/],
    ["user:secret@host/a", /after "@" it must have/],
    [`ghcr.io/${"a".repeat(250)}`, /longer than 255 characters/],
    ["alpine\n:x", /cannot be part/],
  ] as const)("refuses %p", (text, message) => expect(() => parseReference(text)).toThrow(message));

  test("another default registry has no library", () => {
    expect(formatReference(parseReference("alpine", "mirror.lan:5000"))).toBe("mirror.lan:5000/alpine:latest");
    expect(formatReference(parseReference("docker.io/alpine", "mirror.lan"))).toBe("docker.io/library/alpine:latest");
  });
});

const part = fc.stringMatching(/^[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}$/);
const registry = fc.constantFrom("docker.io", "localhost", "localhost:5000", "a.b-c.example:443", "[::1]:5000", "HOST");
const version = fc.option(fc.stringMatching(/^[\w][\w.-]{0,20}$/), { nil: undefined });
const digests = fc.option(fc.constantFrom(sha256, sha512), { nil: undefined });

test("a formatted reference parses to the same, with any default registry", () => {
  fc.assert(
    fc.property(
      registry,
      fc.array(part, { minLength: 1, maxLength: 4 }),
      version,
      digests,
      (host, path, tag, digest) => {
        const text = `${host}/${path.join("/")}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
        const reference = parseReference(text);
        expect(parseReference(formatReference(reference), "other.example")).toEqual(reference);
        expect(reference.tag ?? reference.digest).toBeDefined();
        expect(reference.registry).toBe(host);
      },
    ),
  );
});

test("rejects texts that would leave the path of a request", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."aA1./:@-_%?#[]\\ \0") }), (text) => {
      try {
        const { registry: host, repository, tag = "x" } = parseReference(text);
        const url = new URL(`https://${host}/v2/${repository}/manifests/${tag}`);
        expect(url.pathname).toBe(`/v2/${repository}/manifests/${tag}`);
        expect([url.search, url.hash, url.username]).toEqual(["", "", ""]);
      } catch (error) {
        expect(String(error)).toContain("The image reference");
      }
    }),
    { numRuns: 2000 },
  );
});

test.each([
  ["localhost", true],
  ["localhost:5000", true],
  ["127.0.0.1:80", true],
  ["127.9.9.9", true],
  ["[::1]:5000", true],
  ["localhost.example", false],
  ["127.0.0.1.example", false],
  ["registry:5000", false],
] as const)("isLocalRegistry %s: %p", (host, local) => expect(isLocalRegistry(host)).toBe(local));

test("docker.io is reached at its API host", () => {
  expect(registryHost("docker.io")).toBe("registry-1.docker.io");
  expect(registryHost("ghcr.io")).toBe("ghcr.io");
});
