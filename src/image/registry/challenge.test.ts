import { expect, test } from "bun:test";
import { parseChallenge } from "./challenge";

test.each([
  [
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull"',
    {
      scheme: "bearer",
      realm: "https://auth.docker.io/token",
      service: "registry.docker.io",
      scope: "repository:library/alpine:pull",
    },
  ],
  ["bearer realm=x", { scheme: "bearer", realm: "x" }],
  ['Bearer  realm = "a \\"b\\"" , service=s', { scheme: "bearer", realm: 'a "b"', service: "s" }],
  ['Basic realm="Registry Realm"', { scheme: "basic" }],
  ["Basic", { scheme: "basic" }],
  ['Basic realm="r", Bearer realm="t"', { scheme: "bearer", realm: "t" }],
  ['Negotiate, Bearer realm="t", charset="UTF-8"', { scheme: "bearer", realm: "t" }],
  ['Digest realm="r"', undefined],
  ["Bearer service=s", undefined],
  ['Bearer realm="unfinished', undefined],
  ["", undefined],
  [null, undefined],
] as const)("%s", (header, expected) => expect(parseChallenge(header)).toEqual(expected));
