import { chmodSync, lstatSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Server } from "bun";
import { startTimer } from "../lib/deadline";
import { errnoCode, errorText, isMissing } from "../lib/errors";
import type { Logger } from "../lib/logger";
import { tryFileLock } from "../linux/flock";
import { formatListenAddress, type ListenAddress } from "../values/listen-address";
import { CONTENT_TYPES, exposition, negotiate } from "./exposition";
import { inOwnDirectory } from "./own-directory";
import type { MetricRegistry } from "./registry";

/** How often an address is tried that cannot be used, in milliseconds: an agent's earlier plugin process may still have it. */
const RETRY_MS = 5_000;
/** What a request may send: it has no body. */
const MOST_BODY_BYTES = 1024;

/** Thrown while another process serves metrics at the same address. */
class InUseError extends Error {
  constructor() {
    super("another process has it, such as an earlier process of the plugin");
  }
}

interface Listening extends Disposable {
  readonly server: Server<undefined>;
}

/** Serves the metrics of a process at an address that may change, and tries an address again that cannot be used. */
export class MetricsServer implements Disposable {
  #address: string | undefined;
  #listening: Listening | undefined;
  #stopRetry: (() => void) | undefined;
  /** The reason that was logged last. */
  #problem = "";

  /** @param retryMs shorter in tests */
  constructor(
    private readonly registry: Pick<MetricRegistry, "families">,
    private readonly log: Logger,
    private readonly retryMs: number = RETRY_MS,
  ) {}

  /** Whether metrics are served. */
  get serving(): boolean {
    return this.#listening !== undefined;
  }

  /** Serves at an address from now on; undefined: at none. Never throws. */
  listenAt(address: ListenAddress | undefined): void {
    const text = address && formatListenAddress(address);
    if (text === this.#address) return;
    this[Symbol.dispose]();
    this.#address = text;
    if (address !== undefined) this.#try(address);
  }

  [Symbol.dispose](): void {
    this.#stopRetry?.();
    this.#stopRetry = undefined;
    this.#listening?.[Symbol.dispose]();
    this.#listening = undefined;
    this.#address = undefined;
    this.#problem = "";
  }

  #try(address: ListenAddress): void {
    const named = formatListenAddress(address);
    try {
      this.#listening = listen(address, (request) => this.#answer(request));
      this.log.info("metrics are served", { address: named });
    } catch (error) {
      const problem = errnoCode(error) === "EADDRINUSE" ? new InUseError().message : errorText(error);
      if (problem !== this.#problem) {
        const level = error instanceof InUseError ? "info" : "warn";
        this.log[level]("metrics are not served; trying again", { address: named, reason: problem });
      }
      this.#problem = problem;
      this.#stopRetry = startTimer(this.retryMs, () => this.#try(address));
    }
  }

  async #answer(request: Request): Promise<Response> {
    if (new URL(request.url).pathname !== "/metrics") return new Response("Not found: see /metrics\n", { status: 404 });
    if (request.method !== "GET" && request.method !== "HEAD") {
      return new Response("Only GET is allowed\n", { status: 405, headers: { allow: "GET, HEAD" } });
    }
    const format = negotiate(request.headers.get("accept") ?? undefined);
    const text = exposition(await this.registry.families(), format);
    return new Response(text, { headers: { "content-type": CONTENT_TYPES[format], "cache-control": "no-store" } });
  }
}

function listen(address: ListenAddress, fetch: (request: Request) => Promise<Response>): Listening {
  if (address.kind === "unix") return listenAtSocket(address.path, fetch);
  const server = Bun.serve({
    hostname: address.host,
    port: address.port,
    maxRequestBodySize: MOST_BODY_BYTES,
    fetch,
  });
  return { server, [Symbol.dispose]: () => void server.stop(true) };
}

/**
 * The lock beside the socket decides which process serves: so a socket that a killed process left is replaced, and that of a running
 * process is not. The socket gets its mode in a directory that only root may enter, before it is moved to its place.
 */
function listenAtSocket(path: string, fetch: (request: Request) => Promise<Response>): Listening {
  using made = new DisposableStack();
  const own = inOwnDirectory(path);
  requireNoFile(own);
  const lock = tryFileLock(`${own}.lock`, "exclusive");
  if (lock === undefined) throw new InUseError();
  made.use(lock);
  made.defer(() => rmSync(`${own}.lock`, { force: true }));
  const directory = mkdtempSync(`${own}.`);
  using _directory = { [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
  const hidden = join(directory, "s");
  const server = Bun.serve({ unix: hidden, maxRequestBodySize: MOST_BODY_BYTES, fetch });
  made.defer(() => void server.stop(true));
  chmodSync(hidden, 0o600);
  renameSync(hidden, own);
  made.defer(() => rmSync(own, { force: true }));
  const kept = made.move();
  return { server, [Symbol.dispose]: () => kept.dispose() };
}

/** @throws Error if something else than a socket has the name */
function requireNoFile(path: string): void {
  try {
    if (lstatSync(path).isSocket()) return;
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  throw new Error(`${path} exists and is not a socket: remove it, or choose another address.`);
}
