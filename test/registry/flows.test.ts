/** How the registries of clouds and products authenticate, each after its own documentation, and what a pull from it looks like. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RegistryOptions } from "../../src/image/registry/registry-source";
import { digestOf } from "../support/signing";
import { problemOf, readImage, sourceOf } from "./reading";

const layer = Buffer.from("a layer".repeat(1000));
const config = Buffer.from('{"rootfs":{"type":"layers","diff_ids":[]}}');
const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: digestOf(config), size: config.length },
    layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", digest: digestOf(layer), size: layer.length }],
  }),
);

/** What a registry's documentation says about a pull. */
interface Flow {
  /** As `docker login` or a helper has them. */
  readonly user: string;
  readonly secret: string;
  /** Where the operator or the job puts them. */
  readonly given: "job" | "auths" | "identitytoken" | "helper";
  /** The WWW-Authenticate headers of a 401; HOST is the registry, OTHER another server. */
  readonly challenges: readonly string[];
  /** The path of the token server, if the registry has one, and its answer; "OTHER/…" for one at another host. */
  readonly tokens?: { readonly path: string; readonly answer: object; readonly method?: "GET" | "POST" };
  /** The status of the redirect of layers to a storage; undefined if the registry sends them itself. */
  readonly redirect?: 302 | 303 | 307;
  /** Further headers of its answers. */
  readonly headers?: Readonly<Record<string, string>>;
}

const bearer = (realm: string, service: string) =>
  `Bearer realm="${realm}",service="${service}",scope="repository:team/app:pull"`;

const FLOWS: Readonly<Record<string, Flow>> = {
  // docs.aws.amazon.com/AmazonECR, "Registry authentication": user AWS, a token of twelve hours; layers are in S3.
  ECR: {
    ...{ user: "AWS", secret: Buffer.from("e".repeat(1800)).toString("base64"), given: "helper" },
    ...{ challenges: ['Basic realm="https://HOST/",service="ecr.amazonaws.com"'], redirect: 307 },
  },
  // cloud.google.com/artifact-registry/docs/docker/authentication, "Service account key": the key file is the password.
  "Artifact Registry with _json_key": {
    ...{ user: "_json_key", secret: '{\n "type": "service_account",\n "private_key": "a:b\\n"\n}\n', given: "auths" },
    challenges: ['Bearer realm="http://HOST/v2/token",service="europe-docker.pkg.dev"'],
    ...{ tokens: { path: "HOST/v2/token", answer: { token: "T", expires_in: 3600 } }, redirect: 302 },
  },
  // The same page, "Access token".
  "Artifact Registry with oauth2accesstoken": {
    ...{ user: "oauth2accesstoken", secret: "ya29.c.b0Aaekm1K", given: "job" },
    challenges: ['Bearer realm="http://HOST/v2/token",service="europe-docker.pkg.dev"'],
    ...{ tokens: { path: "HOST/v2/token", answer: { token: "T", expires_in: 3600 } }, redirect: 302 },
  },
  // azure.github.io/acr/AAD-OAuth.html: a helper exchanges the Entra token for a refresh token, which the client exchanges again.
  ACR: {
    ...{
      user: "<token>",
      secret: "a.refresh.token",
      given: "helper",
      challenges: [bearer("http://HOST/oauth2/token", "HOST")],
    },
    ...{ tokens: { path: "HOST/oauth2/token", answer: { access_token: "T" }, method: "POST" }, redirect: 307 },
  },
  // The same, after `az acr login`, which writes the refresh token into config.json.
  "ACR with identitytoken": {
    ...{
      user: "",
      secret: "a.refresh.token",
      given: "identitytoken",
      challenges: [bearer("http://HOST/oauth2/token", "HOST")],
    },
    ...{ tokens: { path: "HOST/oauth2/token", answer: { access_token: "T" }, method: "POST" }, redirect: 307 },
  },
  // docs.github.com, "Working with the Container registry": a personal access token; tokens have no expires_in.
  ghcr: {
    ...{
      user: "octocat",
      secret: "ghp_0123456789",
      given: "auths",
      challenges: [bearer("http://HOST/token", "ghcr.io")],
    },
    ...{ tokens: { path: "HOST/token", answer: { token: "T" } }, redirect: 307 },
  },
  // docs.quay.io, "Robot accounts": their names have a plus sign.
  quay: {
    ...{
      user: "team+puller",
      secret: "QUAYROBOT",
      given: "job",
      challenges: [bearer("http://HOST/v2/auth", "quay.io")],
    },
    ...{ tokens: { path: "HOST/v2/auth", answer: { token: "T" } }, redirect: 302 },
  },
  // goharbor.io/docs, "Create System Robot Accounts": names begin with "robot$".
  Harbor: {
    ...{ user: "robot$team+ci", secret: "h4rb0r$ecret", given: "auths" },
    challenges: [bearer("http://HOST/service/token", "harbor-registry")],
    tokens: { path: "HOST/service/token", answer: { token: "T", access_token: "", expires_in: 1800 } },
  },
  // docs.gitlab.com, "Authenticate with the container registry": GitLab itself issues the tokens, at its own host.
  GitLab: {
    ...{ user: "gitlab+deploy-token-1", secret: "gldt-x", given: "job" },
    challenges: [bearer("http://OTHER/jwt/auth", "container_registry")],
    ...{ tokens: { path: "OTHER/jwt/auth", answer: { token: "T" } }, redirect: 307 },
  },
  // jfrog.com/help, "Docker registry": by default both ways are offered.
  Artifactory: {
    ...{ user: "ci@example.com", secret: "cmVmdGtu", given: "auths" },
    challenges: ['Bearer realm="http://HOST/v2/token",service="HOST"', 'Basic realm="Artifactory Realm"'],
    ...{ tokens: { path: "HOST/v2/token", answer: { token: "T", expires_in: 3600 } }, redirect: 302 },
  },
  // help.sonatype.com, "Docker authentication": Basic in capitals, unless the realm for bearer tokens is active.
  Nexus: {
    ...{ user: "deployment", secret: "n:e:x:u:s", given: "job" },
    challenges: ['BASIC realm="Sonatype Nexus Repository Manager"'],
  },
  // docs.docker.com/docker-hub, "Usage and limits": the limit is in the headers of each manifest.
  "Docker Hub": {
    ...{
      user: "user",
      secret: "dckr_pat_x",
      given: "job",
      challenges: [bearer("http://OTHER/token", "registry.docker.io")],
    },
    tokens: {
      path: "OTHER/token",
      answer: { token: "T", access_token: "T", expires_in: 300, issued_at: "2026-01-01T00:00:00Z" },
    },
    ...{ redirect: 307, headers: { "ratelimit-limit": "200;w=21600", "ratelimit-remaining": "199;w=21600" } },
  },
};

interface Seen {
  readonly url: URL;
  readonly method: string;
  readonly authorization: string | null;
  readonly form: URLSearchParams | undefined;
}

/** A registry, the servers beside it, and what they were asked. */
class Servers implements AsyncDisposable {
  readonly seen: Seen[] = [];
  readonly #registry = this.#serve();
  readonly #other = this.#serve();
  readonly #storage = this.#serve();

  constructor(private readonly flow: Flow) {}

  get host(): string {
    return `127.0.0.1:${this.#registry.port}`;
  }
  get storage(): string {
    return `127.0.0.1:${this.#storage.port}`;
  }

  named(text: string): string {
    return text.replaceAll("HOST", this.host).replaceAll("OTHER", `127.0.0.1:${this.#other.port}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of [this.#registry, this.#other, this.#storage]) await server.stop(true);
  }

  #serve() {
    return Bun.serve({
      ...{ hostname: "127.0.0.1", port: 0 },
      fetch: async (request) => {
        const [url, authorization] = [new URL(request.url), request.headers.get("authorization")];
        const form = request.method === "POST" ? new URLSearchParams(await request.text()) : undefined;
        this.seen.push({ url, method: request.method, authorization, form });
        if (url.host === this.storage) {
          // Presigned URLs: S3 answers so to a request with two kinds of authentication.
          return authorization === null ? content(url) : new Response("InvalidArgument", { status: 400 });
        }
        const { tokens } = this.flow;
        if (tokens !== undefined && `${url.host}${url.pathname}` === this.named(tokens.path)) {
          return this.#token(tokens, request.method, authorization, form);
        }
        return this.#answer(url, authorization);
      },
    });
  }

  #token(
    { answer, method = "GET" }: NonNullable<Flow["tokens"]>,
    asked: string,
    authorization: string | null,
    form?: URLSearchParams,
  ) {
    const fits = method === "POST" ? form?.get("refresh_token") === this.flow.secret : authorization === this.basic;
    return asked === method && fits
      ? Response.json(answer)
      : Response.json({ errors: [{ code: "UNAUTHORIZED" }] }, { status: 401 });
  }

  get basic(): string {
    return `Basic ${Buffer.from(`${this.flow.user}:${this.flow.secret}`).toString("base64")}`;
  }

  #answer(url: URL, authorization: string | null): Response {
    const { tokens, challenges, redirect, headers = {} } = this.flow;
    if (authorization !== (tokens === undefined ? this.basic : "Bearer T")) {
      const refused = new Headers(headers);
      for (const challenge of challenges) refused.append("www-authenticate", this.named(challenge));
      return Response.json({ errors: [{ code: "UNAUTHORIZED" }] }, { status: 401, headers: refused });
    }
    if (redirect === undefined || !url.pathname.includes("/blobs/")) return content(url, headers);
    const location = `http://${this.storage}${url.pathname}?X-Signature=secret`;
    return new Response(null, { status: redirect, headers: { location } });
  }
}

function content({ pathname }: URL, headers: Readonly<Record<string, string>> = {}): Response {
  if (pathname.includes("/manifests/")) return new Response(manifest, { headers });
  return new Response(pathname.endsWith(digestOf(layer)) ? layer : config, { headers });
}

let directory = "";
const path = process.env["PATH"];
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "flows-"));
  process.env["PATH"] = `${directory}:${path}`;
});
afterAll(async () => {
  process.env["PATH"] = path;
  await rm(directory, { recursive: true });
});

/** The credentials where a flow has them. */
async function optionsOf({ user, secret, given }: Flow, host: string): Promise<RegistryOptions> {
  if (given === "job") return { credentials: { kind: "password", username: user, password: secret } };
  if (given === "helper") {
    const program = join(directory, "docker-credential-flow");
    const answer = JSON.stringify({ ServerURL: host, Username: user, Secret: secret });
    await writeFile(
      program,
      `#!/bin/sh\nread server\n[ "$1" = get ] && [ "$server" = "${host}" ] && echo '${answer}'\n`,
    );
    await chmod(program, 0o755);
    return { operator: { helper: "flow" } };
  }
  const entry =
    given === "identitytoken"
      ? { identitytoken: secret }
      : { auth: Buffer.from(`${user}:${secret}`).toString("base64") };
  const file = join(directory, "config.json");
  await writeFile(file, JSON.stringify({ auths: { [host]: entry } }));
  return { operator: { config: file } };
}

describe.each(Object.entries(FLOWS))("%s", (_, flow) => {
  test("an image is pulled", async () => {
    await using servers = new Servers(flow);
    const { contents } = await readImage(sourceOf(`${servers.host}/team/app:1`, await optionsOf(flow, servers.host)));
    expect(contents.map((each) => each.length)).toEqual([config.length, layer.length]);
    const at = (host: string) => servers.seen.filter(({ url }) => url.host === host);
    // The credentials go to the token server alone, if there is one; the storage gets nothing.
    const secret = servers.seen.filter(
      ({ authorization, form }) => authorization === servers.basic || form?.get("refresh_token"),
    );
    const allowed = flow.tokens === undefined ? servers.host : servers.named(flow.tokens.path).split("/")[0];
    expect(new Set(secret.map(({ url }) => url.host))).toEqual(new Set([allowed ?? ""]));
    expect(at(servers.storage).every(({ authorization }) => authorization === null)).toBe(true);
    expect(at(servers.storage).length > 0).toBe(flow.redirect !== undefined);
    if (flow.tokens === undefined) return;
    // One token for everything, for this repository.
    const asked = servers.seen.filter(
      ({ url }) => `${url.host}${url.pathname}` === servers.named(flow.tokens?.path ?? ""),
    );
    expect(asked).toHaveLength(1);
    expect((asked[0]?.form ?? asked[0]?.url.searchParams)?.get("scope")).toBe("repository:team/app:pull");
  });

  test("wrong credentials are an error without them", async () => {
    await using servers = new Servers(flow);
    const wrong = { ...flow, secret: "wr0ng-secret" };
    const { problem, recoverable, message } = await problemOf(
      readImage(sourceOf(`${servers.host}/team/app:1`, await optionsOf(wrong, servers.host))),
    );
    expect({ problem, recoverable }).toEqual({ problem: "unauthorized", recoverable: false });
    expect(message).not.toContain("wr0ng");
  });
});
