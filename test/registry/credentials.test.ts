import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import type { RegistryOptions } from "../../src/image/registry/registry-source";
import { makeCertificate } from "../support/certificate";
import { pushImage } from "../support/oci-images";
import { startRegistry, type TestRegistry } from "../support/registry";
import { startTokenServer, type TokenRules, type TokenServer } from "../support/token-server";
import { problemOf, readImage, sourceOf } from "./reading";

const password = "p%:ä geheim";
const identity = "identity-geheim";
const users = { ci: password };
const stack = new AsyncDisposableStack();
const rules: TokenRules = {
  users,
  identities: { [identity]: "ci" },
  publicRepositories: ["open/app"],
  service: "test-registry",
  lifetime: 300,
};
let directory: string;
let basic: TestRegistry;
let bearer: TestRegistry;
let tokens: TokenServer;
const oldPath = process.env["PATH"];
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "credentials-test-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  process.env["PATH"] = `${directory}:${oldPath}`;
  stack.defer(() => {
    process.env["PATH"] = oldPath;
  });
  const signer = await makeCertificate(directory, "signer", ["DNS:signer"]);
  tokens = stack.use(await startTokenServer(rules, signer));
  basic = stack.use(await startRegistry({ users }));
  bearer = stack.use(
    await startRegistry({
      token: { realm: tokens.realm, service: rules.service, certificate: signer.certificate },
    }),
  );
  const image = { layers: [{ a: "1" }, { b: "2" }, { c: "3" }] };
  const credentials = `ci:${password}`;
  await pushImage(basic, "team/app:1", image, { credentials });
  await pushImage(bearer, "team/app:1", image, { credentials });
  await pushImage(bearer, "open/app:1", image, { credentials });
});
afterAll(() => stack.disposeAsync());

const own = { kind: "password", username: "ci", password } as const;
const config = async (content: unknown) => {
  const file = join(directory, `${crypto.randomUUID()}.json`);
  await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
  return { operator: { config: file } } satisfies RegistryOptions;
};
const helper = async (name: string, script: string) => {
  const file = join(directory, `docker-credential-${name}`);
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
};
const auth = Buffer.from(`ci:${password}`).toString("base64");

/** Checks that no part of an error, at any depth, contains a secret. */
const refused = async (name: string, options: RegistryOptions) => {
  const { error, ...rest } = await problemOf(readImage(sourceOf(name, options)));
  const everything = `${inspect(error, { depth: 20, showHidden: true })}${error.stack}`;
  for (const secret of ["geheim", auth, "wrong"]) expect(everything).not.toContain(secret);
  return rest;
};

describe("basic authentication", () => {
  const image = () => `${basic.host}/team/app:1`;

  test("with the task's credentials, the file's, or a helper's", async () => {
    await readImage(sourceOf(image(), { credentials: own }));
    await readImage(sourceOf(image(), await config({ auths: { [basic.host]: { auth } } })));
    await readImage(
      sourceOf(image(), await config({ auths: { [`http://${basic.host}/v2/`]: { username: "ci", password } } })),
    );
    await helper(
      "file",
      `read server; test "$server" = "${basic.host}" && echo '{"ServerURL":"","Username":"ci","Secret":"${password}"}'`,
    );
    await readImage(sourceOf(image(), await config({ credHelpers: { [basic.host]: "file" } })));
    await readImage(sourceOf(image(), await config({ credsStore: "file" })));
    await readImage(sourceOf(image(), { operator: { helper: "file" } }));
    await readImage(
      sourceOf(image(), {
        operator: { ...(await config({ auths: { "other.example": { auth } } })).operator, helper: "file" },
      }),
    );
  });

  test("if the task has credentials, no others are tried", async () => {
    const good = await config({ auths: { [basic.host]: { auth } } });
    expect(await refused(image(), { ...good, credentials: { ...own, password: "wrong" } })).toMatchObject({
      problem: "unauthorized",
      recoverable: false,
      message: expect.stringContaining("rejected the credentials"),
    });
  });

  test("without any", async () => {
    expect(await refused(image(), {})).toMatchObject({
      problem: "unauthorized",
      message: expect.stringContaining(
        "requires a user name and a password (HTTP status 401), and none are configured",
      ),
    });
  });

  test("with unreadable files and helpers", async () => {
    await helper("broken", "echo geheim; echo geheim >&2; exit 3");
    await helper("silly", "echo '[geheim]'");
    await helper("empty", "echo 'credentials not found in native keychain'; exit 1");
    const cases: readonly (readonly [RegistryOptions, string])[] = [
      [{ operator: { config: "/nowhere.json" } }, 'in "/nowhere.json" cannot be read: ENOENT'],
      [await config("geheim"), "not JSON in the format of Docker's config.json"],
      [await config({ auths: { [basic.host]: { auth: "Z2VoZWlt" } } }), "has to be USER:PASSWORD in base64"],
      [{ operator: { helper: "nowhere" } }, "docker-credential-nowhere was not found in"],
      [{ operator: { helper: "../x" } }, 'helper "../x" is not valid'],
      [{ operator: { helper: "broken" } }, "it exited with code 3"],
      [{ operator: { helper: "silly" } }, "did not return JSON"],
      [{ operator: { helper: "empty" } }, "and none are configured"],
    ];
    for (const [options, words] of cases) {
      const { message, problem } = await refused(image(), options);
      expect(message).toContain(words);
      expect(problem).toBe("unauthorized");
    }
  });
});

describe("tokens", () => {
  test("without credentials, if the image is public", async () => {
    await readImage(sourceOf(`${bearer.host}/open/app:1`));
    expect(tokens.requests.at(-1)).toEqual({ user: "", scope: "repository:open/app:pull" });
    expect(await refused(`${bearer.host}/team/app:1`, {})).toMatchObject({
      problem: "unauthorized",
      recoverable: false,
    });
  });

  test("for a user: one token for all of an image", async () => {
    const before = tokens.requests.length;
    await readImage(sourceOf(`${bearer.host}/team/app:1`, { credentials: own }));
    expect(tokens.requests.slice(before)).toEqual([{ user: "ci", scope: "repository:team/app:pull" }]);
  });

  test("for an identity token, from the file or a helper", async () => {
    await readImage(
      sourceOf(`${bearer.host}/team/app:1`, await config({ auths: { [bearer.host]: { identitytoken: identity } } })),
    );
    await helper("identity", `echo '{"Username":"<token>","Secret":"${identity}"}'`);
    await readImage(sourceOf(`${bearer.host}/team/app:1`, { operator: { helper: "identity" } }));
    expect(tokens.requests.at(-1)?.user).toBe("ci");
  });

  test("wrong credentials", async () => {
    for (const credentials of [
      { ...own, password: "wrong" },
      { kind: "identity", token: "wrong" },
    ] as const) {
      const { message, problem } = await refused(`${bearer.host}/team/app:1`, { credentials });
      expect(problem).toBe("unauthorized");
      expect(message).toContain("The access token for ");
    }
  });

  test("that expire quickly are renewed", async () => {
    rules.lifetime = 10;
    try {
      const before = tokens.requests.length;
      await readImage(sourceOf(`${bearer.host}/team/app:1`, { credentials: own }));
      expect(tokens.requests.length).toBeGreaterThan(before + 1);
    } finally {
      rules.lifetime = 300;
    }
  });
});
