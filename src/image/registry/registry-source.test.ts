/** Registries with different behaviour: their answers, redirects, and authentication, also in the middle of a download. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { brotliCompressSync, gzipSync, zstdCompressSync } from "node:zlib";
import { parseReference } from "../../values/image-reference";
import { type Descriptor, type ImageSource, SourceError } from "../source";
import type { RetryOptions } from "../transfer/retry";
import { registrySource } from "./registry-source";

const quick: RetryOptions = { attempts: 4, firstPauseMs: 4, longestPauseMs: 20, longestAskedMs: 500, silenceMs: 1000 };
const credentials = { kind: "password", username: "ci", password: "geheim" } as const;
const basic = `Basic ${btoa("ci:geheim")}`;
const signal = AbortSignal.timeout(20_000);

const digestOf = (bytes: Uint8Array | string) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const layerBytes = Buffer.from(Array.from({ length: 100_000 }, (_, index) => (index * 11) % 253));
const config = "{}";
const layer: Descriptor = { mediaType: "x", digest: digestOf(layerBytes), size: layerBytes.length };
const manifest = JSON.stringify({
  schemaVersion: 2,
  config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: digestOf(config), size: config.length },
  layers: [layer],
});

interface Seen {
  readonly path: string;
  readonly authorization: string | null;
  readonly range: string | null;
}
type Answer = (request: Request, url: URL) => Response | Promise<Response>;

/** A server that records its requests. */
class Server implements AsyncDisposable {
  readonly seen: Seen[] = [];
  answer: Answer = () => new Response(null, { status: 404 });
  readonly #server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => {
      const url = new URL(request.url);
      const { headers } = request;
      this.seen.push({ path: url.pathname, authorization: headers.get("authorization"), range: headers.get("range") });
      return this.answer(request, url);
    },
  });
  get host(): string {
    return `127.0.0.1:${this.#server.port}`;
  }
  asked(part: string): Seen[] {
    return this.seen.filter(({ path }) => path.includes(part));
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}

let registry: Server;
let storage: Server;
const stack = new AsyncDisposableStack();
beforeAll(() => {
  registry = stack.use(new Server());
  storage = stack.use(new Server());
});
afterAll(() => stack.disposeAsync());
beforeEach(() => {
  for (const server of [registry, storage]) server.seen.length = 0;
});

const source = (): ImageSource =>
  registrySource(parseReference(`${registry.host}/team/app:1`), {
    credentials,
    plainHttp: [registry.host],
    timing: quick,
  });
async function read(from: ImageSource, content: Descriptor): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of from.read(content, { signal })) parts.push(part);
  return Buffer.concat(parts);
}
async function failure(work: Promise<unknown>) {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof SourceError)) throw new Error(`no SourceError: ${error}`);
  expect(error.message).not.toContain("geheim");
  return { problem: error.problem, recoverable: error.recoverable, message: error.message };
}
const challenge = (value: string) => new Response(null, { status: 401, headers: { "www-authenticate": value } });
const content = (path: string): Response =>
  path.includes("/manifests/")
    ? new Response(manifest)
    : new Response(path.includes(layer.digest) ? layerBytes : config);

describe("a blob on another host", () => {
  const toStorage: Answer = ({ headers }, { pathname }) => {
    if (headers.get("authorization") !== basic) return challenge('Basic realm="registry"');
    return pathname.includes("/blobs/")
      ? new Response(null, { status: 307, headers: { location: `http://${storage.host}${pathname}?signature=x` } })
      : content(pathname);
  };

  test("is fetched from there without credentials", async () => {
    registry.answer = toStorage;
    storage.answer = (_, { pathname }) => content(pathname);
    const image = source();
    await image.manifest({ signal });
    expect((await read(image, layer)).equals(layerBytes)).toBe(true);
    expect(registry.asked("/blobs/")[0]?.authorization).toBe(basic);
    expect(storage.seen.map(({ authorization }) => authorization)).toEqual([null]);
  });

  test.each([
    ["its own token server", () => `Bearer realm="http://${storage.host}/token",service="x"`],
    ["a password", () => 'Basic realm="storage"'],
  ])("does not get them by requesting %s", async (_, asks) => {
    registry.answer = toStorage;
    storage.answer = () => challenge(asks());
    const image = source();
    await image.manifest({ signal });
    expect(await failure(read(image, layer))).toMatchObject({
      problem: "unauthorized",
      recoverable: false,
      message: expect.stringContaining(`${storage.host} requires credentials`),
    });
    for (const { authorization } of storage.seen) expect(authorization).toBeNull();
    // The challenge of the registry itself is still known.
    storage.answer = (_request, { pathname }) => content(pathname);
    expect((await read(image, layer)).equals(layerBytes)).toBe(true);
  });
});

describe("a name of one's own that redirects to another registry", () => {
  const redirects: Answer = (_, { pathname }) =>
    new Response(null, {
      status: 307,
      headers: { location: `http://${storage.host}${pathname.replace("team", "other")}` },
    });
  /** A registry that everyone may read with a token. */
  const open =
    (scheme: string): Answer =>
    (request, { pathname, searchParams }) => {
      if (pathname === "/auth")
        return Response.json({ access_token: `for ${searchParams.get("scope")}`.replaceAll(" ", "-") });
      if (request.headers.get("authorization") === "Bearer for-repository:other/app:pull") return content(pathname);
      return challenge(`${scheme} realm="http://${storage.host}/auth",service="s",scope="repository:other/app:pull"`);
    };

  test("is read with a token for everyone, which each server gets once, and no credentials", async () => {
    registry.answer = redirects;
    storage.answer = open("Bearer");
    const image = source();
    const { layers } = await image.manifest({ signal });
    expect((await read(image, layers[0] ?? layer)).equals(layerBytes)).toBe(true);
    expect(storage.asked("/auth").map(({ authorization }) => authorization)).toEqual([null]);
    expect(registry.seen.map(({ authorization }) => authorization)).not.toContain(basic);
    expect(storage.seen.filter(({ authorization }) => authorization === null)).toHaveLength(2);
    for (const { authorization } of storage.seen) expect(authorization).not.toBe(basic);
  });

  test("is refused if that registry wants a password", async () => {
    registry.answer = redirects;
    storage.answer = open("Basic");
    expect(await failure(source().manifest({ signal }))).toMatchObject({
      problem: "unauthorized",
      message: expect.stringContaining(`${storage.host} requires credentials`),
    });
  });
});

describe("challenges", () => {
  test.each([
    ["with another scope after the first", ["Bearer scope=a", "Bearer scope=b"]],
    ["of which the last one is Basic", ["Bearer scope=a", "Basic"]],
  ])("that follow each other, %s", async (_, order) => {
    let step = 0;
    const headers = order.map((each) =>
      each === "Basic" ? 'Basic realm="r"' : `Bearer realm="http://${registry.host}/token",${each.slice(7)}`,
    );
    registry.answer = (request, { pathname, searchParams }) => {
      if (pathname === "/token") return Response.json({ token: searchParams.get("scope") });
      const given = request.headers.get("authorization");
      if (step === headers.length && given === (order.at(-1) === "Basic" ? basic : "Bearer b"))
        return content(pathname);
      step = Math.min(step + 1, headers.length);
      return challenge(headers[step - 1] ?? "");
    };
    expect((await source().manifest({ signal })).layers).toEqual([layer]);
  });

  test("that never end are an error", async () => {
    let scope = 0;
    registry.answer = (_, { pathname }) => {
      scope += 1;
      return pathname === "/token"
        ? Response.json({ token: "x" })
        : challenge(`Bearer realm="http://${registry.host}/token",scope="s${scope}"`);
    };
    expect(await failure(source().manifest({ signal }))).toMatchObject({
      problem: "unauthorized",
      recoverable: false,
      message: expect.stringContaining("rejected the credentials"),
    });
    expect(registry.asked("/manifests/")).toHaveLength(4);
  });

  test("that come only for the layers", async () => {
    registry.answer = (request, { pathname }) =>
      !pathname.includes("/blobs/") || request.headers.get("authorization") === basic
        ? content(pathname)
        : challenge('  ,Digest realm="x" , basic   realm = "late"');
    const image = source();
    await image.manifest({ signal });
    expect((await read(image, layer)).equals(layerBytes)).toBe(true);
  });
});

describe("a content coding that was not asked for", () => {
  const named = (bytes: Uint8Array, coding: string) => new Response(bytes, { headers: { "content-encoding": coding } });

  test.each([
    ["gzip", gzipSync],
    ["br", brotliCompressSync],
    ["zstd", zstdCompressSync],
  ])("of documents is removed: %s", async (coding, encode) => {
    registry.answer = (_, { pathname }) =>
      pathname.includes(layer.digest)
        ? new Response(layerBytes)
        : named(encode(pathname.includes("/manifests/") ? manifest : config), coding);
    const image = source();
    const { config: content } = await image.manifest({ signal });
    expect((await read(image, content)).toString()).toBe(config);
    expect((await read(image, layer)).equals(layerBytes)).toBe(true);
  });

  test("that only names a stored file's own compression is left", async () => {
    const stored = gzipSync("layer");
    const descriptor = { mediaType: "x", digest: digestOf(stored), size: stored.length };
    registry.answer = () => named(stored, "gzip");
    expect((await read(source(), descriptor)).equals(stored)).toBe(true);
  });
});

test("a rate limit is named with the server's figures", async () => {
  registry.answer = () =>
    new Response('{"errors":[{"code":"TOOMANYREQUESTS"}]}', {
      status: 429,
      headers: {
        "content-type": "application/json",
        "retry-after": "900",
        "ratelimit-limit": "100;w=21600",
        "ratelimit-remaining": "0;w=21600",
        "docker-ratelimit-source": "192.0.2.1",
      },
    });
  expect(await failure(source().manifest({ signal }))).toMatchObject({
    problem: "rate limited",
    recoverable: true,
    message: expect.stringContaining(
      "applies a rate limit (HTTP status 429, TOOMANYREQUESTS, 100 requests in 6 h, 0 left, counted for 192.0.2.1).",
    ),
  });
});

describe("a token", () => {
  let valid = "";
  let issued = 0;
  beforeEach(() => {
    valid = "";
    issued = 0;
  });
  const issue = () => {
    issued += 1;
    valid = `token-${issued}`;
    // The tests revoke it before that.
    return Response.json({ token: valid, expires_in: 3600 });
  };
  const asks = () => challenge(`Bearer realm="http://${registry.host}/token",service="x"`);
  const allowed = (request: Request) => valid !== "" && request.headers.get("authorization") === `Bearer ${valid}`;

  test("that is rejected before it expires is renewed, once for all waiting readers", async () => {
    registry.answer = (request, { pathname }) =>
      pathname === "/token" ? issue() : allowed(request) ? content(pathname) : asks();
    const image = source();
    const { layers } = await image.manifest({ signal });
    expect(issued).toBe(1);
    valid = "";
    const contents = await Promise.all([1, 2, 3].map(() => read(image, layers[0] ?? layer)));
    for (const bytes of contents) expect(bytes.equals(layerBytes)).toBe(true);
    expect(issued).toBe(2);
  });

  test("that is rejected in the middle of a layer is renewed for the rest", async () => {
    const half = 60_000;
    registry.answer = (request, { pathname }) => {
      if (pathname === "/token") return issue();
      if (!allowed(request)) return asks();
      if (!pathname.includes(layer.digest)) return content(pathname);
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.get("range") ?? "")?.[1] ?? 0);
      if (from > 0) {
        const range = `bytes ${from}-${layerBytes.length - 1}/${layerBytes.length}`;
        return new Response(layerBytes.subarray(from), { status: 206, headers: { "content-range": range } });
      }
      // A part of the layer, and no more with this token.
      valid = "";
      return new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(layerBytes.subarray(0, half));
            controller.close();
          },
        }),
      );
    };
    const image = source();
    await image.manifest({ signal });
    expect((await read(image, layer)).equals(layerBytes)).toBe(true);
    expect(registry.asked("/blobs/").map(({ range }) => range)).toEqual([null, `bytes=${half}-`, `bytes=${half}-`]);
    expect(issued).toBe(2);
  });

  test("is renewed also if the rejection has no challenge", async () => {
    registry.answer = (request, { pathname }) => {
      if (pathname === "/token") return issue();
      if (allowed(request)) return content(pathname);
      return issued === 0 ? asks() : new Response(null, { status: 401 });
    };
    const image = source();
    await image.manifest({ signal });
    valid = "";
    expect((await read(image, layer)).equals(layerBytes)).toBe(true);
    expect(issued).toBe(2);
  });

  test("that is always rejected is an error, after one more try", async () => {
    registry.answer = (_, { pathname }) => (pathname === "/token" ? issue() : asks());
    expect(await failure(source().manifest({ signal }))).toMatchObject({ problem: "unauthorized", recoverable: false });
    expect(issued).toBe(1);
    expect(registry.asked("/manifests/")).toHaveLength(2);
  });
});

describe("a manifest", () => {
  const answer = (body: string, type: string, more: Readonly<Record<string, string>> = {}) => {
    registry.answer = (_, { pathname }) =>
      pathname.includes("/manifests/")
        ? new Response(body, { headers: { "content-type": type, ...more } })
        : content(pathname);
    return source().manifest({ signal });
  };

  test.each(["application/json", "application/octet-stream", "text/plain; charset=utf-8", ""])(
    "is parsed by its own content, whatever its content type: %j",
    async (type) => {
      expect((await answer(manifest, type)).digest).toBe(digestOf(manifest));
    },
  );

  const v1 = JSON.stringify({ schemaVersion: 1, name: "team/app", fsLayers: [], history: [], signatures: [] });
  test.each([
    ["of schema 1, signed", v1, "application/vnd.docker.distribution.manifest.v1+prettyjws", "old format (schema 1)"],
    ["of schema 1", v1, "application/json", "old format (schema 1)"],
    ["that is a web page", "<html>Log in</html>", "text/html", "its manifest is not JSON"],
    ["of another kind", '{"schemaVersion":2}', "application/json", "its manifest is not valid"],
    [
      "that is also a list",
      JSON.stringify({ ...JSON.parse(manifest), manifests: [] }),
      "application/json",
      "claims to be both",
    ],
  ])("%s is rejected", async (_, body, type, words) => {
    expect(await failure(answer(body, type))).toMatchObject({
      problem: "content",
      recoverable: false,
      message: expect.stringContaining(words),
    });
  });

  test("with another digest than the registry reports is rejected", async () => {
    const reported = { "docker-content-digest": `sha256:${"0".repeat(64)}` };
    expect(await failure(answer(manifest, "application/json", reported))).toMatchObject({ problem: "content" });
  });
});
