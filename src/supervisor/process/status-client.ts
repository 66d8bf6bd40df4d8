import type { Socket } from "bun";
import { errnoCode } from "../../host/errno";

/** What the supervising process tells. */
export interface StatusListener {
  running(mainPid: number): void;
  /** The exit is recorded. */
  exited(): void;
  /** The supervising process is gone, however it ended. */
  gone(): void;
}

/** The plugin's side of a supervising process's socket. */
export interface StatusConnection {
  /** Asks that systemd-nspawn is not started again when the container reboots. */
  stop(): void;
  /** Resolves when the supervising process holds the payload, so that it sees how a signal ends it. */
  look(): Promise<void>;
  close(): void;
}

/** Connects to a supervising process; undefined when none listens. */
export async function connectStatus(path: string, listener: StatusListener): Promise<StatusConnection | undefined> {
  let rest = "";
  let closed = false;
  let looks: (() => void)[] = [];
  const looked = (): void => {
    for (const resolve of looks) resolve();
    looks = [];
  };
  const lines = (bytes: Buffer): void => {
    const parts = (rest + bytes.toString()).split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) {
      const [word, pid] = line.split(" ");
      if (word === "running") listener.running(Number(pid));
      if (word === "exited") listener.exited();
      if (word === "looked") looked();
    }
  };
  const gone = (): void => {
    if (!closed) listener.gone();
    closed = true;
    looked();
  };
  let socket: Socket;
  try {
    socket = await Bun.connect({
      unix: path,
      socket: { data: (_, bytes) => lines(bytes), close: gone, error: gone, connectError: () => {} },
    });
  } catch (error) {
    if (isNobody(error)) return undefined;
    throw error;
  }
  return {
    stop: () => void socket.write("stop\n"),
    look: () =>
      new Promise((resolve) => {
        if (closed) return resolve();
        looks.push(resolve);
        socket.write("look\n");
      }),
    close: () => {
      closed = true;
      looked();
      socket.end();
    },
  };
}

function isNobody(error: unknown): boolean {
  const code = errnoCode(error);
  return code === "ENOENT" || code === "ECONNREFUSED" || code === "ENOTDIR";
}
