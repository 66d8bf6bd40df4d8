import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  ExecTaskStreamingRequest,
  ExecTaskStreamingResponseSchema,
} from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { Session } from "../exec/session";
import { sessionOutput } from "../exec/session-output";
import { exitCode } from "../exec/session-plan";
import { settles } from "../lib/deadline";
import { openTaskSession } from "./exec-task";
import type { Services } from "./services";

type Response = MessageInitShape<typeof ExecTaskStreamingResponseSchema>;

/** The terminal's end-of-input character: VEOF, Ctrl-D (termios(3)). */
const endOfInput = Uint8Array.of(4);

/**
 * Milliseconds of silence after which an empty response is sent. The agent notices that the caller of `nomad alloc exec` is gone only
 * when it forwards something to the caller (nomad's client.go, ExecTaskStreamingRaw(), waits for the plugin's next response); without
 * it, a silent command would outlive a caller that was killed. Nomad's clients treat an empty response as a heartbeat.
 */
const KEEPALIVE_MS = 3000;

/**
 * Runs a command in a task's container and forwards its streams to and from the caller. If the caller disconnects, the command and
 * all its child processes are killed.
 */
export async function* execTaskStreaming(
  services: Services,
  requests: AsyncIterable<ExecTaskStreamingRequest>,
  signal: AbortSignal,
): AsyncGenerator<Response> {
  const messages = requests[Symbol.asyncIterator]();
  const { value } = await messages.next();
  const setup = value?.setup;
  if (setup === undefined) throw new Error("ExecTaskStreaming: the first request has no setup.");
  const session = await openTaskSession(services, setup.taskId, setup.command, setup.tty);
  const gone = () => void session.kill();
  signal.addEventListener("abort", gone, { once: true });
  try {
    if (signal.aborted) gone();
    feed(session, messages, setup.tty).catch(gone);
    yield* withKeepalive(sessionResponses(session), {}, KEEPALIVE_MS);
  } finally {
    signal.removeEventListener("abort", gone);
    await session.close();
  }
}

/** The command's output, and its exit status. */
async function* sessionResponses(session: Session): AsyncGenerator<Response> {
  for await (const { stream, bytes } of sessionOutput(session)) {
    yield { [stream]: bytes === undefined ? { close: true } : { data: bytes } };
  }
  const end = await session.ended;
  if (end.complaint !== undefined) yield { stderr: { data: Buffer.from(end.complaint) } };
  yield { exited: true, result: { exitCode: exitCode(end), signal: end.signal } };
}

/** Forwards the caller's input; rejects when the caller is gone. */
async function feed(
  session: Session,
  messages: AsyncIterator<ExecTaskStreamingRequest>,
  terminal: boolean,
): Promise<void> {
  const endInput = () => (terminal ? session.stdin.write(endOfInput) : session.stdin.close());
  for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
    const { ttySize, stdin } = next.value;
    if (ttySize !== undefined) session.resize(ttySize.height, ttySize.width);
    if (stdin === undefined) continue;
    if (stdin.data.length > 0) await session.stdin.write(stdin.data);
    if (stdin.close) await endInput();
  }
  // The end of the caller's stream is the end of the input.
  if (!terminal) session.stdin.close();
}

/** Yields what `source` yields, and `beat` whenever `source` yields nothing for `idleMs` ms. Leaving the loop also ends `source`. */
export async function* withKeepalive<T>(source: AsyncIterable<T>, beat: T, idleMs: number): AsyncGenerator<T> {
  const items = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = items.next();
      while (!(await settles(next, idleMs))) yield beat;
      const item = await next;
      if (item.done === true) return;
      yield item.value;
    }
  } finally {
    // Not awaited: a source that is suspended in an await only returns when that await settles.
    items.return?.().catch(() => {});
  }
}
