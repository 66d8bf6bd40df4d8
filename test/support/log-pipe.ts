/** FIFOs, created and read like those of the agent's log collector. */

import { run } from "../../tools/command";
import { pour, type TextWatch, watchText } from "./text-watch";

/** A FIFO that is being read; the text is kept. */
export interface LogPipe extends Pick<TextWatch, "text" | "waitFor"> {
  readonly path: string;
  /** Resolves with the whole text when the last writer has closed the FIFO, or the reading was stopped. */
  ended(): Promise<string>;
  /** Stops reading, like a log collector that died; the FIFO remains. */
  stop(): Promise<void>;
  /** Reads again; new output is appended to the text. */
  resume(): void;
}

/** Creates a FIFO (mode 0600) and starts to read it. It is removed with its directory. */
export async function makeLogPipe(path: string): Promise<LogPipe> {
  await run(["mkfifo", "--mode=600", path]);
  const watch = watchText();
  const read = () => {
    // A separate process, because opening a FIFO waits for a writer, and only a process can be stopped while it waits.
    const reader = Bun.spawn(["cat", path], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
    return { reader, finished: Promise.all([pour(reader.stdout, watch), reader.exited]) };
  };
  let current = read();
  return {
    path,
    text: watch.text,
    waitFor: watch.waitFor,
    ended: async () => {
      await current.finished;
      return watch.text();
    },
    stop: async () => {
      current.reader.kill("SIGKILL");
      await current.finished;
    },
    resume: () => {
      current = read();
    },
  };
}
