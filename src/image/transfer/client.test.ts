import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { SourceError } from "../source";
import { httpClient, redirected, refusal } from "./client";

let requests: { url: string; headers: Record<string, string> }[] = [];
const answer = (request: Request): Response => {
  requests.push({ url: request.url, headers: Object.fromEntries(request.headers) });
  const url = new URL(request.url);
  const to = url.searchParams.get("to");
  if (to !== null) return new Response(null, { status: 307, headers: { location: to } });
  if (url.pathname === "/gzip") {
    return new Response(Bun.gzipSync("text"), { headers: { "content-encoding": "gzip" } });
  }
  return new Response(`at ${url.host}`);
};
let one: Bun.Server<undefined>;
let other: Bun.Server<undefined>;
beforeAll(() => {
  one = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer });
  other = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer });
});
afterAll(async () => {
  await one.stop(true);
  await other.stop(true);
});

const send = async (url: string, headers: Readonly<Record<string, string>> = {}) => {
  requests = [];
  return httpClient()({ name: "it", url: new URL(url), headers, signal: AbortSignal.timeout(5000) });
};
const failure = async (work: Promise<unknown>) => {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof SourceError) return { problem: error.problem, message: error.message };
  throw new Error(`no SourceError: ${error}`);
};

describe("redirects", () => {
  const secret = { authorization: "Bearer geheim", accept: "text/plain" };

  test("to the same origin keep all headers", async () => {
    await send(`${one.url}?to=/next`, secret);
    expect(requests[1]?.headers).toMatchObject(secret);
  });

  test("to another origin drop secrets, also on the way back", async () => {
    const back = encodeURIComponent(`${one.url}end`);
    const response = await send(`${one.url}?to=${encodeURIComponent(`${other.url}?to=${back}`)}`, secret);
    expect(await response.text()).toBe(`at ${one.url.host}`);
    expect(requests).toHaveLength(3);
    for (const { headers } of requests.slice(1)) {
      expect(headers["authorization"]).toBeUndefined();
      expect(headers["accept"]).toBe("text/plain");
    }
  });

  test("beyond the limit are an error", async () => {
    expect(
      await failure(
        send(`${one.url}?to=${encodeURIComponent("?to=%3Fto")}`).then(() => send(`${one.url}loop?to=/loop?to=/loop`)),
      ),
    ).toMatchObject({ problem: "server" });
  });

  test.each([
    ["https://a/x", "/y", "https://a/y"],
    ["https://a/x", "https://b/y", "https://b/y"],
    ["https://a/x", "http://a/y", undefined],
    ["http://a/x", "https://a/y", "https://a/y"],
    ["http://a/x", "http://b/y", "http://b/y"],
    ["http://a/x", "file:///etc/shadow", undefined],
    ["http://a/x", "data:text/plain,x", undefined],
    ["http://a/x", "http://[", undefined],
  ] as const)("from %s to %s: %s", (from, to, expected) => {
    expect(redirected(new URL(from), to)?.href).toBe(expected);
  });
});

test("content arrives as stored, and no other encoding is requested", async () => {
  const response = await send(`${one.url}gzip`);
  expect(Buffer.from(await response.arrayBuffer()).subarray(0, 2)).toEqual(Buffer.of(0x1f, 0x8b));
  expect(requests[0]?.headers["accept-encoding"]).toBe("identity");
});

describe("proxies of the environment", () => {
  const names = ["HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"] as const;
  const before = names.map((name) => process.env[name]);
  afterAll(() => {
    for (const [index, name] of names.entries()) {
      const value = before[index];
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });

  test("are used, except for hosts in NO_PROXY", async () => {
    for (const name of names) delete process.env[name];
    process.env["HTTP_PROXY"] = other.url.href;
    process.env["NO_PROXY"] = ".direct.invalid,127.0.0.0/8";
    const response = await send("http://registry.invalid/x");
    expect(response.status).toBe(200);
    expect(requests[0]?.url).toContain("registry.invalid/x");
    expect(await failure(send("http://a.direct.invalid/x"))).toMatchObject({ problem: "name" });
    expect(await (await send(one.url.href)).text()).toBe(`at ${one.url.host}`);
  });
});

test("a refusal shows the registry's error code, but not its message", async () => {
  const body = JSON.stringify({ errors: [{ code: "DENIED", message: "you said geheim" }] });
  const response = new Response(body, { status: 403, headers: { "content-type": "application/json" } });
  expect((await refusal("it", response)).message).toBe(
    "It could not be fetched: the server denied access with these credentials (HTTP status 403, DENIED).",
  );
});
