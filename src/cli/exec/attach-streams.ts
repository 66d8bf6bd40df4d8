import type { Session } from "../../exec/session";
import { sessionOutput } from "../../exec/session-output";

/** The streams of this process that a session uses. */
type OwnStreams = Pick<NodeJS.Process, "stdin" | "stdout" | "stderr">;

/**
 * Connects a session to this process's streams until the command's output ends. A terminal forwards every key and its
 * window size; its mode is restored before this returns.
 */
export async function joinStreams(session: Session, terminal: boolean, own: OwnStreams): Promise<void> {
  const { stdin, stdout } = own;
  const resize = () => session.resize(stdout.rows, stdout.columns);
  if (terminal) {
    stdin.setRawMode(true);
    resize();
    stdout.on("resize", resize);
  }
  // Not awaited: a command may exit without having read all of its input.
  const feeding = feed(session, stdin);
  feeding.catch(() => {});
  try {
    for await (const { stream, bytes } of sessionOutput(session)) {
      if (bytes !== undefined) await write(own[stream], bytes);
    }
  } finally {
    if (terminal) {
      stdout.off("resize", resize);
      stdin.setRawMode(false);
    }
    stdin.pause();
  }
}

async function feed(session: Session, stdin: NodeJS.ReadStream): Promise<void> {
  for await (const chunk of stdin) await session.stdin.write(Buffer.from(chunk));
  session.stdin.close();
}

/** When this resolves, the bytes are written; the caller may reuse the buffer. */
function write(stream: NodeJS.WriteStream, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}
