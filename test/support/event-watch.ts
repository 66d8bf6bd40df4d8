/** The driver's events during a test, as the agent reads them. */

import type { DriverClient } from "./driver-client";
import { type TextWatch, watchText } from "./text-watch";

/** Texts of events, a line each. */
export interface EventWatch extends AsyncDisposable, Pick<TextWatch, "text" | "waitFor"> {}

/** Listens until it is disposed of. Events arrive on a separate stream, so tests have to wait for them. */
export function watchEvents(client: DriverClient): EventWatch {
  const stop = new AbortController();
  const { append, text, waitFor } = watchText();
  const listen = async () => {
    for await (const { message } of client.taskEvents({ signal: stop.signal })) append(`${message}\n`);
  };
  // It ends with the signal, or with the plugin.
  const listening = listen().catch(() => {});
  return {
    text,
    waitFor,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await listening;
    },
  };
}
