import { describe, expect, test } from "bun:test";
import { helperNameProblem } from "../../values/names";
import { findCredentials } from "./credentials";

const auth = (text: string) => ({ auth: Buffer.from(text).toString("base64") });
const find = (config: unknown, registry: string) => findCredentials(JSON.stringify(config), registry, "/etc/auth.json");
const me = { kind: "password", username: "me", password: "secret" } as const;

describe("findCredentials", () => {
  test.each([
    ["by host and port", { auths: { "r.example:5000": auth("me:secret") } }, "r.example:5000", me],
    ["with any scheme and path", { auths: { "https://r.example/v2/": auth("me:secret") } }, "r.example", me],
    ["in any case", { auths: { "R.Example": auth("me:secret") } }, "r.example", me],
    [
      "of Docker's registry by its old name",
      { auths: { "https://index.docker.io/v1/": auth("me:secret") } },
      "docker.io",
      me,
    ],
    ["with a colon in the password", { auths: { r: auth("me:a:b") } }, "r", { ...me, password: "a:b" }],
    ["in plain fields", { auths: { r: { username: "me", password: "secret" } } }, "r", me],
    [
      "an identity token before a password",
      { auths: { r: { ...auth("me:secret"), identitytoken: "t" } } },
      "r",
      { kind: "identity", token: "t" },
    ],
    [
      "a helper before stored credentials",
      { auths: { r: auth("me:secret") }, credHelpers: { r: "pass" } },
      "r",
      { kind: "helper", name: "pass" },
    ],
    [
      "stored credentials before the credential store",
      { auths: { r: auth("me:secret") }, credsStore: "pass" },
      "r",
      me,
    ],
    [
      "the credential store for an empty entry",
      { auths: { r: {} }, credsStore: "pass" },
      "r",
      { kind: "helper", name: "pass" },
    ],
    ["not another port's", { auths: { "r.example:5000": auth("me:secret") } }, "r.example", undefined],
    [
      "not of a host with the same beginning",
      { auths: { "r.example.evil": auth("me:secret") } },
      "r.example",
      undefined,
    ],
    ["nothing", {}, "r", undefined],
  ] as const)("%s", (_, config, registry, expected) => expect(find(config, registry)).toEqual(expected));

  test.each(["", "[]", "null", '{"auths": secret'])("%p is rejected without quoting it", (text) => {
    expect(() => findCredentials(text, "r", "/etc/auth.json")).toThrow(
      "The registry credentials in /etc/auth.json cannot be read: not JSON in the format of Docker's config.json.",
    );
  });

  test("invalid credentials are not quoted", () => {
    expect(() => find({ auths: { r: auth("secret") } }, "r")).toThrow(
      'The registry credentials in /etc/auth.json are not valid: "auth" of r has to be USER:PASSWORD in base64.',
    );
  });
});

test.each([
  ["ecr-login", true],
  ["osxkeychain", true],
  ["../x", false],
  ["", false],
  ["-x", false],
  ["a b", false],
] as const)("helper name %p: %p", (name, good) => expect(helperNameProblem(name) === undefined).toBe(good));
