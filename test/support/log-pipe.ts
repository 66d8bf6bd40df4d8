/** FIFOs as the agent's log collector makes and reads them. */

import { run } from "../../scripts/command";

/** A FIFO that is being read; what was read is kept. */
export interface LogPipe {
  readonly path: string;
  /** Everything read so far. */
  text(): string;
  /** Resolves with the whole text as soon as it contains `part`; rejects after `timeout` milliseconds (10,000). */
  waitFor(part: string | RegExp, timeout?: number): Promise<string>;
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
  const decoder = new TextDecoder();
  let text = "";
  let wake: (() => void)[] = [];
  const read = () => {
    // A process of its own: opening a FIFO waits for a writer, and only a process can be stopped while it waits.
    const reader = Bun.spawn(["cat", path], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
    const finished = (async () => {
      for await (const chunk of reader.stdout) {
        text += decoder.decode(chunk, { stream: true });
        for (const waiter of wake) waiter();
      }
      await reader.exited;
    })();
    return { reader, finished };
  };
  let current = read();
  return {
    path,
    text: () => text,
    ended: async () => {
      await current.finished;
      return text;
    },
    stop: async () => {
      current.reader.kill("SIGKILL");
      await current.finished;
    },
    resume: () => {
      current = read();
    },
    waitFor: (part, timeout = 10_000) =>
      new Promise((resolve, reject) => {
        const settle = () => {
          clearTimeout(timer);
          wake = wake.filter((waiter) => waiter !== check);
        };
        const check = () => {
          if (typeof part === "string" ? !text.includes(part) : !part.test(text)) return;
          settle();
          resolve(text);
        };
        const timer = setTimeout(() => {
          settle();
          reject(new Error(`${JSON.stringify(String(part))} was not logged within ${timeout} ms, only:\n${text}`));
        }, timeout);
        wake.push(check);
        check();
      }),
  };
}
