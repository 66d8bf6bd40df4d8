import { chmodSync } from "node:fs";
import type { Socket } from "bun";

/** The supervising process's side of its socket: one line for the state, sent to whoever listens, and on each change. */
export interface StatusServer {
  /** Tells a new state. */
  tell(line: "exited" | `running ${number} ${number}`): void;
  /** Takes no more listeners; those that are there notice the end of this process. */
  closeDoor(): void;
}

/** What a listener may ask for. */
export interface StatusRequests {
  /** Not to start systemd-nspawn again. Answered with "stopping". */
  stop(): void;
  /** To take hold of the payload now: a signal is about to be sent to it. Answered with "looked". */
  look(): void;
}

/** Listens at a path only root can reach. */
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
        // Each word comes in one write of its own, far smaller than what a Unix socket would split.
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
    tell(line) {
      last = `${line}\n`;
      for (const socket of listeners) socket.write(last);
    },
    closeDoor: () => server.stop(false),
  };
}
