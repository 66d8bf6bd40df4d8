/** A proxy that applies faults of networks and servers to the responses of the server behind it. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";

/** A fault of a response. */
export type Fault =
  /** The connection breaks after so many bytes. */
  | { readonly kind: "cut"; readonly after: number }
  /** The transfer stalls after so many bytes. */
  | { readonly kind: "hang"; readonly after: number }
  /** One byte is changed. */
  | { readonly kind: "corrupt" }
  /** So many bytes per second. */
  | { readonly kind: "slow"; readonly rate: number }
  /** Range requests are not supported. */
  | { readonly kind: "whole" }
  | { readonly kind: "status"; readonly status: number; readonly headers?: Readonly<Record<string, string>> };

/** A running proxy. */
export interface FaultProxy extends AsyncDisposable {
  /** Address and port. */
  readonly host: string;
  /** Requested paths, with the range. */
  readonly requests: readonly { readonly path: string; readonly range: string | undefined }[];
  /** Bytes of bodies that were forwarded. */
  readonly sent: () => number;
  /** Sets the fault of later requests: called for each request, with the number of earlier requests for that path. */
  inject(fault: (path: string, before: number) => readonly Fault[]): void;
}

/** @param target URL of the server behind it */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const requests: { path: string; range: string | undefined }[] = [];
  const counts = new Map<string, number>();
  let choose: (path: string, before: number) => readonly Fault[] = () => [];
  let sent = 0;
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url ?? "/";
    const before = counts.get(path) ?? 0;
    counts.set(path, before + 1);
    const { host: _host, range, ...headers } = request.headers;
    requests.push({ path, range });
    const faults = choose(path, before);
    const status = faults.find((fault) => fault.kind === "status");
    if (status !== undefined) return void response.writeHead(status.status, { ...status.headers }).end();
    const ranged = faults.some(({ kind }) => kind === "whole") ? {} : { ...(range === undefined ? {} : { range }) };
    const upstream = await fetch(new URL(path, target), {
      headers: { ...stringsOf(headers), ...ranged },
      redirect: "manual",
      decompress: false,
    });
    const passed = Object.fromEntries(
      [...upstream.headers].filter(([name]) => !["connection", "keep-alive"].includes(name)),
    );
    response.writeHead(upstream.status, passed);
    response.flushHeaders();
    const body = upstream.body === null ? Readable.from([]) : Readable.fromWeb(upstream.body);
    await pipeline([
      body,
      ...faults.map((fault) => spoil(fault, response)),
      counter((bytes) => (sent += bytes)),
      response,
    ]);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The proxy has no port.");
  return {
    host: `127.0.0.1:${address.port}`,
    requests,
    sent: () => sent,
    inject: (fault) => {
      choose = fault;
      counts.clear();
      requests.length = 0;
      sent = 0;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

/** Applies a fault to the bytes of a body. */
function spoil(fault: Fault, response: ServerResponse): Transform {
  let passed = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const at = passed;
      passed += chunk.length;
      if (fault.kind === "corrupt") {
        const other = Buffer.from(chunk);
        if (at === 0) other[0] = (other[0] ?? 0) ^ 1;
        return done(undefined, other);
      }
      if (fault.kind === "slow")
        return void setTimeout(() => done(undefined, chunk), (chunk.length / fault.rate) * 1000);
      if ((fault.kind === "cut" || fault.kind === "hang") && passed > fault.after) {
        this.push(chunk.subarray(0, Math.max(0, fault.after - at)));
        // A moment later, so that the sent bytes arrive.
        if (fault.kind === "cut") setTimeout(() => response.destroy(), 50);
        return;
      }
      done(undefined, chunk);
    },
  });
}

function counter(count: (bytes: number) => void): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      count(chunk.length);
      done(undefined, chunk);
    },
  });
}

function stringsOf(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : [])),
  );
}
