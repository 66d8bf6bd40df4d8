/** FIFOs as the agent's log collector makes and reads them. */

import { run } from "../../scripts/command";
import { pour, type TextWatch, watchText } from "./text-watch";

/** A FIFO that is being read; what was read is kept. */
export interface LogPipe extends Pick<TextWatch, "text" | "waitFor"> {
  readonly path: string;
  /** Resolves with the whole text when the last writer has closed the FIFO, or the reading was stopped. */
  ended(): Promise<string>;
  /** Stops reading, as a log collector that died does; the FIFO stays. */
  stop(): Promise<void>;
  /** Reads again; what is read is added to the text. */
  resume(): void;
}

/** Makes a FIFO (mode 0600) and begins to read it. Its path is removed with the directory it lies in. */
export async function makeLogPipe(path: string): Promise<LogPipe> {
  await run(["mkfifo", "--mode=600", path]);
  const watch = watchText();
  const read = () => {
    // A process of its own: opening a FIFO waits for a writer, and only a process can be stopped while it waits.
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
