import { chmodSync } from "node:fs";
import type { Socket } from "bun";

/** The supervising process's side of its socket: one line for the state, sent to whoever listens, and on each change. */
export interface StatusServer {
  /** Tells a new state. */
  tell(line: "exited" | `running ${number} ${number}`): void;
  /** Takes no more listeners; those that are there notice the end of this process. */
  closeDoor(): void;
}

/**
 * Listens at a path only root can reach.
 *
 * @param stop called when a listener asks that systemd-nspawn is not started again
 */
export function serveStatus(path: string, stop: () => void): StatusServer {
  const listeners = new Set<Socket>();
  let last: string | undefined;
  const server = Bun.listen({
    unix: path,
    socket: {
      open(socket) {
        listeners.add(socket);
        if (last !== undefined) socket.write(last);
      },
      data(_, bytes) {
        if (bytes.toString().includes("stop")) stop();
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
