import { describe, expect, test } from "bun:test";
import { helperNameProblem } from "../../values/names";
import { findCredentials, usualFiles } from "./credentials";

const auth = (text: string) => ({ auth: Buffer.from(text).toString("base64") });
const find = (config: unknown, image: string) =>
  findCredentials(JSON.stringify(config), subjectOf(image), "/etc/auth.json");
const subjectOf = (image: string) => {
  const [registry = "", ...path] = image.split("/");
  return { registry, repository: path.join("/") || "team/app" };
};
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
    [
      "of the longest namespace",
      { auths: { "r.example": auth("x:y"), "r.example/team": auth("me:secret"), "r.example/other": auth("x:y") } },
      "r.example/team/app",
      me,
    ],
    [
      "of the image itself",
      { auths: { "r.example/team/app": auth("me:secret"), "r.example/team": auth("x:y") } },
      "r.example/team/app",
      me,
    ],
    [
      "of a namespace before the registry's helper",
      { auths: { "r.example/team": auth("me:secret") }, credHelpers: { "r.example": "pass" } },
      "r.example/team/app",
      me,
    ],
    [
      "not of a namespace with the same beginning",
      { auths: { "r.example/te": auth("me:secret") } },
      "r.example/team/app",
      undefined,
    ],
    ["not of a longer name", { auths: { "r.example/team/app/x": auth("me:secret") } }, "r.example/team/app", undefined],
    [
      "of a namespace at Docker's registry",
      { auths: { "docker.io/team": auth("me:secret") } },
      "docker.io/team/app",
      me,
    ],
    ["with a final slash", { auths: { "r.example/team/": auth("me:secret") } }, "r.example/team/app", me],
    ["nothing", {}, "r", undefined],
  ] as const)("%s", (_, config, registry, expected) => expect(find(config, registry)).toEqual(expected));

  test("an empty file has none", () => {
    expect(findCredentials("\n", subjectOf("r"), "/dev/null")).toBeUndefined();
  });

  test.each(["[]", "null", '{"auths": secret'])("%p is rejected without quoting it", (text) => {
    expect(() => findCredentials(text, subjectOf("r"), "/etc/auth.json")).toThrow(
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

describe("the usual files", () => {
  test.each([
    [
      "of root",
      {},
      [
        "/run/user/0/containers/auth.json",
        "/run/containers/0/auth.json",
        "/root/.config/containers/auth.json",
        "/root/.docker/config.json",
      ],
    ],
    [
      "that the agent's environment names",
      {
        REGISTRY_AUTH_FILE: "/etc/auth.json",
        XDG_RUNTIME_DIR: "/run/x",
        XDG_CONFIG_HOME: "/c",
        DOCKER_CONFIG: "/d",
        HOME: "/h",
      },
      [
        "/etc/auth.json",
        "/run/x/containers/auth.json",
        "/run/containers/0/auth.json",
        "/c/containers/auth.json",
        "/d/config.json",
      ],
    ],
    [
      "but not relative ones",
      { REGISTRY_AUTH_FILE: "auth.json", XDG_RUNTIME_DIR: "", XDG_CONFIG_HOME: "c", HOME: "" },
      ["/run/user/0/containers/auth.json", "/run/containers/0/auth.json", "/root/.docker/config.json"],
    ],
  ])("%s", (_, env, files) => expect<unknown>(usualFiles(env)).toEqual(files));
});
