import { chmodSync } from "node:fs";
import type { Socket } from "bun";
import { errnoCode } from "../../lib/errors";

/** Receives a shim's reports. */
export interface StatusListener {
  running(mainPid: number): void;
  /** The payload of the systemd-nspawn that was reported last has executed its own program. */
  started(): void;
  /** The exit is recorded. */
  exited(): void;
  /** The shim is gone, however it ended. */
  gone(): void;
}

/** A shim's responses to requests. */
type Answer = "looked" | "stopping";

/** The plugin's side of a shim's socket. */
export interface StatusConnection {
  /**
   * Requests that systemd-nspawn is not restarted when the container reboots, and that its exit counts as a kill by the driver.
   * Resolves when the shim has acknowledged it.
   */
  stop(): Promise<void>;
  /** Resolves when the shim holds a pidfd of the payload, from which it can read its wait status later. */
  inspect(): Promise<void>;
  close(): void;
}

const NOT_LISTENING = new Set(["ENOENT", "ENOTDIR", "ECONNREFUSED", "ECONNRESET"]);

/** Connects to a shim; undefined if no process listens. */
export async function connectStatus(path: string, listener: StatusListener): Promise<StatusConnection | undefined> {
  let rest = "";
  let closed = false;
  const asked: Record<Answer, (() => void)[]> = { looked: [], stopping: [] };
  const answered = (word: Answer): void => {
    for (const resolve of asked[word].splice(0)) resolve();
  };
  const lines = (bytes: Buffer): void => {
    const parts = (rest + bytes.toString()).split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) {
      const [word, pid] = line.split(" ");
      if (word === "running") listener.running(Number(pid));
      if (word === "started") listener.started();
      if (word === "exited") listener.exited();
      if (word === "looked" || word === "stopping") answered(word);
    }
  };
  const gone = (): void => {
    if (!closed) listener.gone();
    settleRequests();
  };
  const settleRequests = (): void => {
    closed = true;
    for (const word of ["looked", "stopping"] as const) answered(word);
  };
  let socket: Socket;
  const ask = (request: "look" | "stop", answer: Answer): Promise<void> =>
    new Promise((resolve) => {
      if (closed) return resolve();
      asked[answer].push(resolve);
      socket.write(`${request}\n`);
    });
  try {
    socket = await Bun.connect({
      unix: path,
      socket: { data: (_, bytes) => lines(bytes), close: gone, error: gone, connectError: () => {} },
    });
  } catch (error) {
    if (isNotListening(error)) return undefined;
    throw error;
  }
  return {
    stop: () => ask("stop", "stopping"),
    inspect: () => ask("look", "looked"),
    close: () => {
      settleRequests();
      socket.end();
    },
  };
}

/** ECONNRESET: it exited or stopped listening after the connection was queued and before it was accepted. */
function isNotListening(error: unknown): boolean {
  return NOT_LISTENING.has(errnoCode(error) ?? "");
}

/** The shim's side of its socket: it sends the state as one line to each client that connects, and to all clients on each change. */
export interface StatusServer {
  /** Sends a new state. */
  send(line: "exited" | `running ${number} ${number}`): void;
  /** Adds to the last state that the payload has executed its own program. */
  started(): void;
  /** Accepts no more clients; connected ones notice the exit of this process. */
  stopListening(): void;
}

/** The requests of a client. */
interface StatusRequests {
  /** Not to restart systemd-nspawn. The response is "stopping". */
  stop(): void;
  /** To open a pidfd of the payload now, because a signal is about to be sent to it. The response is "looked". */
  inspect(): void;
}

/** Listens on a path that only root can access. */
export function serveStatus(path: string, requests: StatusRequests): StatusServer {
  const listeners = new Set<Socket>();
  let last: string | undefined;
  const sendAll = (line: string): void => {
    for (const socket of listeners) socket.write(line);
  };
  const server = Bun.listen({
    unix: path,
    socket: {
      open(socket) {
        listeners.add(socket);
        if (last !== undefined) socket.write(last);
      },
      data(socket, bytes) {
        // Each word arrives in one write, far smaller than what a Unix socket would split.
        for (const word of bytes.toString().split("\n")) {
          if (word === "stop") {
            requests.stop();
            socket.write("stopping\n");
          }
          if (word === "look") {
            requests.inspect();
            socket.write("looked\n");
          }
        }
      },
      close(socket) {
        listeners.delete(socket);
      },
      error(socket) {
        listeners.delete(socket);
      },
    },
  });
  chmodSync(path, 0o600);
  return {
    send(line) {
      last = `${line}\n`;
      sendAll(last);
    },
    started() {
      last = `${last ?? ""}started\n`;
      sendAll("started\n");
    },
    stopListening: () => server.stop(false),
  };
}
