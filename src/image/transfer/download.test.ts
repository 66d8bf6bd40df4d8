import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { createServer, type Server, type Socket } from "node:net";
import { SourceError } from "../source";
import { httpClient } from "./client";
import { type DownloadRequest, download } from "./download";
import type { RetryOptions } from "./retry";

const content = Buffer.from(Array.from({ length: 200_000 }, (_, index) => (index * 7) % 251));
const sha256 = `sha256:${createHash("sha256").update(content).digest("hex")}`;
const quick: RetryOptions = { attempts: 4, firstPauseMs: 4, longestPauseMs: 20, longestAskedMs: 500, silenceMs: 300 };

/** A request's headers, and how to answer its connection. */
type Answer = (socket: Socket, headers: Readonly<Record<string, string>>) => void;

let server: Server;
let answers: Answer[] = [];
let requests: Readonly<Record<string, string>>[] = [];
beforeAll(async () => {
  server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (data) => {
      const lines = data.toString().split("\r\n").slice(1);
      const headers = Object.fromEntries(
        lines.map((line) => line.toLowerCase().split(": ")).filter(({ length }) => length === 2),
      );
      requests.push(headers);
      const answer = answers.shift();
      if (answer === undefined) socket.destroy();
      else answer(socket, headers);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(() => server.close());

const head = (status: string, headers: Readonly<Record<string, string | number>>) =>
  `HTTP/1.1 ${status}\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("")}connection: close\r\n\r\n`;

/** With a delay: fetch() drops what it has if the connection breaks before the answer was read (bun 1.4.5). */
const breakOff = (socket: Socket) => setTimeout(() => socket.destroy(), 30);

/** All of it, or the requested part. */
const whole: Answer = (socket, { range }) => {
  const from = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
  const part = content.subarray(from);
  const [status, more] =
    range === undefined
      ? (["200 OK", {}] as const)
      : ([
          "206 Partial Content",
          { "content-range": `bytes ${from}-${content.length - 1}/${content.length}` },
        ] as const);
  socket.write(head(status, { "content-length": part.length, etag: '"one"', ...more }));
  socket.end(part);
};
/** Breaks off after this many bytes. */
const cut =
  (bytes: number): Answer =>
  (socket) => {
    socket.write(head("200 OK", { "content-length": content.length, etag: '"one"' }));
    socket.write(content.subarray(0, bytes));
    breakOff(socket);
  };
/** A server without range support. */
const anew =
  (body: Uint8Array): Answer =>
  (socket) => {
    socket.write(head("200 OK", { "content-length": body.length }));
    socket.end(body);
  };
const status =
  (line: string, headers: Readonly<Record<string, string | number>> = {}): Answer =>
  (socket) =>
    socket.end(head(line, { "content-length": 0, ...headers }));

async function fetched(script: readonly Answer[], more: Partial<DownloadRequest> = {}) {
  answers = [...script];
  requests = [];
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const send = httpClient();
  const url = new URL(`http://127.0.0.1:${address.port}/blob?signature=geheim`);
  const parts: Uint8Array[] = [];
  const seen: number[] = [];
  let error: unknown;
  try {
    const request: DownloadRequest = {
      name: "the blob",
      host: url.host,
      open: (headers, signal) => send({ name: "the blob", url, headers, signal }),
      signal: AbortSignal.timeout(5000),
      timing: quick,
      onProgress: (received) => seen.push(received),
      ...more,
    };
    for await (const chunk of download(request)) parts.push(chunk);
  } catch (thrown) {
    error = thrown;
  }
  return { bytes: Buffer.concat(parts), error, seen };
}

async function failed(script: readonly Answer[], more: Partial<DownloadRequest> = {}) {
  const { error } = await fetched(script, more);
  if (!(error instanceof SourceError)) throw new Error(`no SourceError: ${error}`);
  expect(error.message).not.toContain("geheim");
  return { problem: error.problem, recoverable: error.recoverable, message: error.message };
}

describe("download", () => {
  test("delivers everything, and reports progress", async () => {
    const { bytes, error, seen } = await fetched([whole], { size: content.length, digest: sha256 });
    expect(error).toBeUndefined();
    expect(bytes.equals(content)).toBe(true);
    expect(seen.at(-1)).toBe(content.length);
    expect(requests[0]).toMatchObject({ "accept-encoding": "identity" });
  });

  test("resumes where the connection broke, repeatedly", async () => {
    const first = cut(50_000);
    const second: Answer = (socket, { range = "" }) => {
      const from = Number(/(\d+)/.exec(range)?.[1]);
      socket.write(
        head("206 Partial Content", {
          "content-range": `bytes ${from}-${content.length - 1}/${content.length}`,
          "content-length": content.length - from,
        }),
      );
      socket.write(content.subarray(from, from + 60_000));
      breakOff(socket);
    };
    const { bytes, error } = await fetched([first, second, second, whole], { digest: sha256 });
    expect(error).toBeUndefined();
    expect(bytes.equals(content)).toBe(true);
    expect(requests.map(({ range }) => range)).toEqual([undefined, "bytes=50000-", "bytes=110000-", "bytes=170000-"]);
    expect(requests[1]).toMatchObject({ "if-range": '"one"' });
  });

  test("skips data again if the server starts from the beginning", async () => {
    const { bytes, error } = await fetched([cut(70_000), anew(content)], { size: content.length, digest: sha256 });
    expect(error).toBeUndefined();
    expect(bytes.equals(content)).toBe(true);
  });

  test("notices that the content changed", async () => {
    const other = Buffer.from(content);
    other[5] = 255;
    expect(await failed([cut(70_000), anew(other)])).toMatchObject({
      problem: "content",
      message: expect.stringContaining("changed while"),
    });
  });

  test("requests everything if ranges are not supported", async () => {
    const { bytes, error } = await fetched([cut(70_000), status("416 Range Not Satisfiable"), anew(content)]);
    expect(error).toBeUndefined();
    expect(bytes.equals(content)).toBe(true);
    expect(requests.map(({ range }) => range)).toEqual([undefined, "bytes=70000-", undefined]);
  });

  test("retries after transient errors, and honours Retry-After", async () => {
    const start = performance.now();
    const { error } = await fetched([
      status("500 Oh"),
      status("429 Slow", { "retry-after": 0 }),
      (socket) => socket.destroy(),
      whole,
    ]);
    expect(error).toBeUndefined();
    expect(requests).toHaveLength(4);
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test("a silent connection counts as broken", async () => {
    const silent: Answer = (socket) => {
      socket.write(head("200 OK", { "content-length": content.length }));
      socket.write(content.subarray(0, 1000));
    };
    const { bytes, error } = await fetched([silent, whole]);
    expect(error).toBeUndefined();
    expect(bytes.equals(content)).toBe(true);
  });

  test("a download is cancelled if its reader stops", async () => {
    const closed = Promise.withResolvers<void>();
    answers = [
      (socket) => {
        socket.once("close", () => closed.resolve());
        socket.write(head("200 OK", { "content-length": content.length }));
        socket.write(content.subarray(0, 1000));
      },
    ];
    const address = server.address();
    const port = address !== null && typeof address === "object" ? address.port : 0;
    const url = new URL(`http://127.0.0.1:${port}/`);
    const send = httpClient();
    const open = (headers: Readonly<Record<string, string>>, signal: AbortSignal) =>
      send({ name: "x", url, headers, signal });
    for await (const _ of download({ name: "x", host: url.host, open, signal: AbortSignal.timeout(5000) })) break;
    await closed.promise;
  });
});

describe("download fails", () => {
  test.each([
    ["401 No", "unauthorized", false],
    ["403 No", "unauthorized", false],
    ["404 No", "not found", false],
    ["418 Teapot", "server", false],
  ] as const)("at once for %s", async (line, problem, recoverable) => {
    expect(await failed([status(line), whole])).toMatchObject({ problem, recoverable });
    expect(requests).toHaveLength(1);
  });

  test("after the maximum number of tries", async () => {
    expect(await failed(Array.from({ length: 9 }, () => status("503 Busy")))).toMatchObject({
      problem: "server",
      recoverable: true,
    });
    expect(requests).toHaveLength(quick.attempts);
  });

  test("if Retry-After is too long", async () => {
    expect(await failed([status("429 Slow", { "retry-after": 3600 })])).toMatchObject({
      problem: "rate limited",
      recoverable: true,
    });
    expect(requests).toHaveLength(1);
  });

  test.each([
    ["another digest", { digest: `sha256:${"0".repeat(64)}` }, /its digest is sha256:.*, but should be sha256:0000/],
    ["another size", { size: 5 }, /size is 200000 bytes, expected 5/],
  ] as const)("with %s", async (_, more, message) => {
    expect(await failed([whole], more)).toMatchObject({ problem: "content", message: expect.stringMatching(message) });
  });

  test("as soon as it has more data than expected", async () => {
    const endless: Answer = (socket) => {
      socket.write(head("200 OK", {}));
      const more = () => {
        while (socket.writable && socket.write(content)) {}
      };
      socket.on("drain", more);
      more();
    };
    const { bytes, error } = await fetched([endless], { size: 300_000 });
    expect(String(error)).toContain("exceeds the expected size of 300000 bytes");
    expect(bytes.length).toBeLessThanOrEqual(300_000);
  });

  test("after its deadline, and when it is cancelled", async () => {
    const hang: Answer = () => {};
    expect(await failed([hang], { signal: AbortSignal.timeout(50) })).toMatchObject({
      problem: "timeout",
      recoverable: true,
    });
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 50);
    expect(await failed([hang], { signal: stop.signal })).toMatchObject({ problem: "cancelled" });
    expect(await failed([hang], { signal: AbortSignal.abort() })).toMatchObject({ problem: "cancelled" });
  });
});

test("content is read no faster than it is consumed", async () => {
  let sent = 0;
  const chunk = Buffer.alloc(1 << 20, 7);
  const chunks = 64;
  const steady: Answer = (socket) => {
    socket.write(head("200 OK", { "content-length": chunk.length * chunks }));
    const more = () => {
      while (sent < chunks && socket.write(chunk)) sent += 1;
    };
    socket.on("drain", () => {
      sent += 1;
      more();
    });
    more();
  };
  answers = [steady];
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  const url = new URL(`http://127.0.0.1:${port}/`);
  const send = httpClient();
  const stream = download({
    name: "x",
    host: url.host,
    open: (headers, signal) => send({ name: "x", url, headers, signal }),
    signal: AbortSignal.timeout(20_000),
  });
  let received = (await stream.next()).value?.length ?? 0;
  await Bun.sleep(300);
  // Data in the kernel's buffers and in fetch's own.
  expect(sent).toBeLessThan(24);
  for await (const part of stream) received += part.length;
  expect(received).toBe(chunk.length * chunks);
});
