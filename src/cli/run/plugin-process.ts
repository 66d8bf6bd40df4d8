import { START_FAILED } from "../../driver/rpc";
import { isRecord, parseJson } from "../../lib/objects";
import { MAGIC_COOKIE_KEY, MAGIC_COOKIE_VALUE } from "../../plugin/handshake";

/** A plugin process that this program started. */
export interface PluginChild {
  readonly socketPath: string;
  /** Resolves when it has exited, with its exit status as text. */
  readonly ended: Promise<string>;
  /** Sends SIGKILL, if it is still running, and waits until it has exited. */
  kill(): Promise<void>;
}

const HANDSHAKE_PATTERN = /^1\|2\|unix\|([^|]+)\|grpc$/;

/**
 * Starts a plugin as a Nomad agent does and waits for its handshake.
 *
 * @param argv this program
 * @param socketDirectory directory for its socket
 * @param log receives each line that it logs
 * @throws Error if it exits without a handshake; its log has the reason
 */
export async function startPluginChild(
  argv: readonly string[],
  socketDirectory: string,
  log: (line: string) => void,
): Promise<PluginChild> {
  const child = Bun.spawn([...argv], {
    // By default Bun.spawn passes this process's initial environment, including variables deleted since.
    env: {
      PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin",
      [MAGIC_COOKIE_KEY]: MAGIC_COOKIE_VALUE,
      PLUGIN_PROTOCOL_VERSIONS: "2",
      PLUGIN_UNIX_SOCKET_DIR: socketDirectory,
    },
    cwd: "/",
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    // This program handles signals to its whole process group (Ctrl-C, timeout(1), a closing terminal); the plugin must not get them.
    detached: true,
  });
  const logged = forEachLine(child.stderr, log);
  const handshake = Promise.withResolvers<string>();
  const printed = forEachLine(child.stdout, (line) => handshake.resolve(line));
  const ended = Promise.all([child.exited, logged, printed]).then(([code]) => {
    handshake.resolve("");
    return child.signalCode === null ? `exited with code ${code}` : `was killed by ${child.signalCode}`;
  });
  const socketPath = HANDSHAKE_PATTERN.exec(await handshake.promise)?.[1];
  if (socketPath === undefined) {
    child.kill("SIGKILL");
    throw new Error(`The driver printed no handshake: it ${await ended}.`);
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

/** A line of the plugin's log as text, or undefined for one that only --verbose shows. */
export function logSentence(line: string, verbose: boolean): string | undefined {
  const fields = parseJson(line);
  // Not JSON of hclog: a crash report, for example.
  if (!isRecord(fields) || !("@level" in fields)) return line;
  const { "@level": level, "@message": message, "@module": module, "@timestamp": _, ...more } = fields;
  const important = level === "warn" || level === "error";
  if (!important && !verbose) return undefined;
  const details = Object.entries(more).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
  return `[${String(level)}] ${verbose ? `${String(module)}: ` : ""}${String(message)}${details.join("")}`;
}

/** Whether a line of the plugin's log is about a start that failed, whose error the plugin also answers with. */
export function isStartFailure(line: string): boolean {
  const fields = parseJson(line);
  return isRecord(fields) && fields["@message"] === START_FAILED;
}
