/** A plugin process as a Nomad agent would start it. */

import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { driverBinary } from "../../tools/build/project";
import { timeoutScale } from "../../tools/timeout-scale";

const magicCookie = "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255";

/** Milliseconds until a plugin that printed no handshake counts as broken. */
const handshakeTimeout = 10_000 * timeoutScale;

/** A line of the plugin's log: hclog's JSON, or other output as `@message` with level "raw". */
export type LogLine = Readonly<Record<string, unknown>> & { readonly "@level": string; readonly "@message": string };

/** How to start a plugin. */
export interface PluginOptions {
  /** Executable; by default the built one. */
  readonly binary?: string;
  /** Added to the agent's variables; undefined removes one. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Milliseconds until it counts as broken without a handshake; ten seconds by default, on a machine of usual speed. */
  readonly timeout?: number;
}

/** A running plugin. */
export interface PluginProcess {
  readonly pid: number;
  /** Path of its unix socket. */
  readonly socket: string;
  /** The handshake line as printed. */
  readonly handshake: string;
  /** Its log so far. */
  readonly logs: readonly LogLine[];
  /** Its stdout after the handshake; a correct plugin prints nothing. */
  readonly stdout: () => string;
  /** Resolves with the exit code, or 128 + N for signal N. */
  readonly exited: Promise<number>;
  /** Sends a signal, by default SIGKILL, and waits for the exit. */
  kill(signal?: NodeJS.Signals): Promise<number>;
  /** Kills it if it still runs and removes its socket directory. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts a plugin and waits for its handshake.
 *
 * @throws Error with its output if it exits or prints no handshake
 */
export async function startPlugin(options: PluginOptions = {}): Promise<PluginProcess> {
  const binary = options.binary ?? driverBinary();
  if (!existsSync(binary)) throw new Error(`${binary} does not exist: \`bun run build\` makes it.`);
  const socketDirectory = await mkdtemp(join(tmpdir(), "plugin-sockets-"));
  const child = Bun.spawn([binary], {
    env: { ...agentEnvironment(socketDirectory), ...options.env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const logs: LogLine[] = [];
  const stderrDone = forEachLine(child.stderr, (line) => logs.push(parseLogLine(line)));
  const printed: string[] = [];
  const { promise: firstLine, resolve: gotLine } = Promise.withResolvers<string>();
  const stdoutDone = forEachLine(child.stdout, (line) => {
    if (printed.push(line) === 1) gotLine(line);
  });
  const exited = Promise.all([child.exited, stderrDone, stdoutDone]).then(([code]) => code);
  const dispose = async () => {
    child.kill("SIGKILL");
    await exited;
    await rm(socketDirectory, { recursive: true, force: true });
  };
  const timer = setTimeout(() => gotLine(""), options.timeout ?? handshakeTimeout);
  const handshake = await Promise.race([firstLine, exited.then(() => printed[0] ?? "")]);
  clearTimeout(timer);
  const socket = /^1\|2\|unix\|([^|]+)\|grpc$/.exec(handshake)?.[1];
  if (socket === undefined) {
    await dispose();
    const said = logs.map((line) => line["@message"]).join("\n");
    throw new Error(
      `The plugin gave no handshake but ${JSON.stringify(handshake)}, exit code ${child.exitCode}:\n${said}`,
    );
  }
  return {
    pid: child.pid,
    socket,
    handshake,
    logs,
    stdout: () => printed.slice(1).join("\n"),
    exited,
    kill: (signal = "SIGKILL") => {
      child.kill(signal);
      return exited;
    },
    [Symbol.asyncDispose]: dispose,
  };
}

/** The variables with which a Nomad agent starts a plugin. */
export function agentEnvironment(socketDirectory: string): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    NOMAD_PLUGIN_MAGIC_COOKIE: magicCookie,
    PLUGIN_PROTOCOL_VERSIONS: "2",
    PLUGIN_MIN_PORT: "10000",
    PLUGIN_MAX_PORT: "14000",
    PLUGIN_MULTIPLEX_GRPC: "false",
    PLUGIN_UNIX_SOCKET_DIR: socketDirectory,
  };
}

/** Calls back with every line of a stream, the unfinished last one too. */
async function forEachLine(stream: ReadableStream<Uint8Array>, callback: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) callback(line);
  }
  if (rest !== "") callback(rest);
}

function parseLogLine(line: string): LogLine {
  try {
    const parsed: unknown = JSON.parse(line);
    if (isLogLine(parsed)) return parsed;
  } catch {
    // Not JSON, for example a crash report. It is kept unchanged.
  }
  return { "@level": "raw", "@message": line };
}

function isLogLine(value: unknown): value is LogLine {
  return (
    typeof value === "object" &&
    value !== null &&
    "@level" in value &&
    typeof value["@level"] === "string" &&
    "@message" in value &&
    typeof value["@message"] === "string"
  );
}
