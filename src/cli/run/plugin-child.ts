import { magicCookieKey, magicCookieValue } from "../../plugin/handshake";

/** A plugin process of our own. */
export interface PluginChild {
  readonly socketPath: string;
  /** Settles when it has ended, with how it did in words. */
  readonly ended: Promise<string>;
  /** SIGKILLs it, where it still runs, and waits for its end. */
  kill(): Promise<void>;
}

const handshakePattern = /^1\|2\|unix\|([^|]+)\|grpc$/;

/**
 * Starts a plugin as a Nomad agent does and waits for its handshake.
 *
 * @param argv this program
 * @param socketDirectory where it puts its socket
 * @param log takes each line it logs
 * @throws Error when it ends without a handshake; what it logged tells why
 */
export async function startPluginChild(
  argv: readonly string[],
  socketDirectory: string,
  log: (line: string) => void,
): Promise<PluginChild> {
  const child = Bun.spawn([...argv], {
    // Bun.spawn's own default is the environment this process began with, whatever was deleted since.
    env: {
      PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin",
      [magicCookieKey]: magicCookieValue,
      PLUGIN_PROTOCOL_VERSIONS: "2",
      PLUGIN_UNIX_SOCKET_DIR: socketDirectory,
    },
    cwd: "/",
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    // A signal for our whole process group (Ctrl-C, timeout(1), a closing terminal) is for us to act on.
    detached: true,
  });
  const logged = forEachLine(child.stderr, log);
  const handshake = Promise.withResolvers<string>();
  const printed = forEachLine(child.stdout, (line) => handshake.resolve(line));
  const ended = Promise.all([child.exited, logged, printed]).then(([code]) => {
    handshake.resolve("");
    return child.signalCode === null ? `ended with code ${code}` : `was ended by ${child.signalCode}`;
  });
  const socketPath = handshakePattern.exec(await handshake.promise)?.[1];
  if (socketPath === undefined) {
    child.kill("SIGKILL");
    throw new Error(`The driver gave no handshake: it ${await ended}.`);
  }
  return {
    socketPath,
    ended,
    kill: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

async function forEachLine(stream: ReadableStream<Uint8Array>, take: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(line);
  }
  if (rest !== "") take(rest);
}
