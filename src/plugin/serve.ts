/**
 * HashiCorp's go-plugin protocol, from the plugin's side. The agent starts the executable with a *magic cookie* in its environment; the
 * plugin listens on a Unix socket and prints the *handshake*, a line with the versions and the socket's path, to standard output. From
 * then on the agent speaks gRPC on that socket. It may *reattach*: a restarted agent connects to the socket of a plugin process that it
 * started earlier. Log lines are JSON objects on standard error, in the format of hclog (logger.ts).
 *
 * Nothing here knows Nomad's services: the caller registers them. go-plugin's own (health, controller, stdio, broker) are in
 * go-plugin-services.ts.
 */

import { createServer, Http2ServerRequest, Http2ServerResponse, type Http2Session } from "node:http2";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { errorText } from "../lib/errors";
import type { Logger } from "../lib/logger";
import {
  answerUnknownMethod,
  registerBroker,
  registerController,
  registerHealth,
  registerStdio,
} from "./go-plugin-services";
import { checkHandshake, type Environment, handshakeLine } from "./handshake";
import { createSocketDirectory } from "./socket";

/** Exec frames and job configs may be large; gRPC's default of 4 MiB is too small. */
const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;
/** The agent sends SIGKILL about 2 s after Controller.Shutdown. */
const CLOSE_TIMEOUT_MS = 1000;

interface ServeOptions {
  readonly env: Environment;
  readonly log: Logger;
  /** Directory for sockets if PLUGIN_UNIX_SOCKET_DIR is not set. */
  readonly temporaryDirectory: string;
  readonly isAlive: (pid: number) => boolean;
  /** Prints the handshake; nothing else is ever printed on stdout. */
  readonly print: (line: string) => void;
  /** Adds the plugin's own services. */
  readonly register: (router: ConnectRouter) => void;
  /** Stops serving, as a signal would. */
  readonly signal?: AbortSignal;
}

/**
 * Serves a go-plugin plugin on a unix socket until the agent calls Controller.Shutdown or `signal` aborts.
 * The socket and its directory are removed when it returns.
 *
 * @throws HandshakeError if the agent requests a protocol that this plugin does not support
 */
export async function serve(options: ServeOptions): Promise<void> {
  checkHandshake(options.env);
  const directory = await createSocketDirectory(
    options.env["PLUGIN_UNIX_SOCKET_DIR"] || options.temporaryDirectory,
    options.isAlive,
  );
  const streams = new AbortController();
  const ended = Promise.withResolvers<void>();
  options.signal?.addEventListener("abort", () => ended.resolve(), { once: true });
  if (options.signal?.aborted) ended.resolve();

  const handler = connectNodeAdapter({
    routes: (router) => {
      registerHealth(router);
      registerController(router, () => setImmediate(ended.resolve));
      registerStdio(router);
      registerBroker(router);
      options.register(router);
    },
    // The agent speaks gRPC only.
    fallback: (request, response) => {
      if (request instanceof Http2ServerRequest && response instanceof Http2ServerResponse) {
        answerUnknownMethod(request, response);
      } else {
        response.end();
      }
    },
    connect: false,
    grpcWeb: false,
    readMaxBytes: MAX_MESSAGE_BYTES,
    writeMaxBytes: MAX_MESSAGE_BYTES,
    shutdownSignal: streams.signal,
  });
  const server = createServer(handler);
  const sessions = new Set<Http2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", (error) => options.log.debug("connection to the agent failed", { error: errorText(error) }));
  });

  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(directory.socketPath, resolve);
    });
    options.print(handshakeLine(directory.socketPath));
    await ended.promise;
  } finally {
    streams.abort();
    await closeServer(server, sessions);
    await directory.remove();
  }
}

/** Waits for responses in progress, then drops the rest. */
async function closeServer(
  server: ReturnType<typeof createServer>,
  sessions: ReadonlySet<Http2Session>,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const session of sessions) session.close();
  const timeout = setTimeout(() => {
    for (const session of sessions) session.destroy();
  }, CLOSE_TIMEOUT_MS);
  timeout.unref();
  await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, CLOSE_TIMEOUT_MS + 200).unref())]);
  clearTimeout(timeout);
}
