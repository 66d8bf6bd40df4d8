import { chmodSync } from "node:fs";
import type { Socket } from "bun";

/** The shim's side of its socket: it sends the state as one line to each client that connects, and to all clients on each change. */
export interface StatusServer {
  /** Sends a new state. */
  send(line: "exited" | `running ${number} ${number}`): void;
  /** Accepts no more clients; connected ones notice the exit of this process. */
  stopListening(): void;
}

/** The requests of a client. */
export interface StatusRequests {
  /** Not to restart systemd-nspawn. The response is "stopping". */
  stop(): void;
  /** To open a pidfd of the payload now, because a signal is about to be sent to it. The response is "looked". */
  look(): void;
}

/** Listens on a path that only root can access. */
export function serveStatus(path: string, requests: StatusRequests): StatusServer {
  const listeners = new Set<Socket>();
  let last: string | undefined;
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
            requests.look();
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
      for (const socket of listeners) socket.write(last);
    },
    stopListening: () => server.stop(false),
  };
}
