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

/** What the supervising process answers a request with. */
type Answer = "looked" | "stopping";

/** The plugin's side of a supervising process's socket. */
export interface StatusConnection {
  /**
   * Asks that systemd-nspawn is not started again when the container reboots, and that its end is taken for the end that it was
   * given. Resolves when the supervising process knows.
   */
  stop(): Promise<void>;
  /** Resolves when the supervising process holds the payload, so that it sees how a signal ends it. */
  look(): Promise<void>;
  close(): void;
}

const NOBODY = new Set(["ENOENT", "ENOTDIR", "ECONNREFUSED", "ECONNRESET"]);

/** Connects to a supervising process; undefined when none listens. */
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
      if (word === "exited") listener.exited();
      if (word === "looked" || word === "stopping") answered(word);
    }
  };
  const gone = (): void => {
    if (!closed) listener.gone();
    forget();
  };
  const forget = (): void => {
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
    if (isNobody(error)) return undefined;
    throw error;
  }
  return {
    stop: () => ask("stop", "stopping"),
    look: () => ask("look", "looked"),
    close: () => {
      forget();
      socket.end();
    },
  };
}

/** ECONNRESET: it ended, or closed its door, after the connection was queued and before it was accepted. */
function isNobody(error: unknown): boolean {
  return NOBODY.has(errnoCode(error) ?? "");
}
