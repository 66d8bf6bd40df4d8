/**
 * A headless browser with one page, over Chrome's DevTools protocol (chromedevtools.github.io/devtools-protocol): what a page reports while it loads,
 * how it fits a screen, and how it looks.
 */

import * as v from "valibot";
import { BROWSER, browserTree } from "../../tools/images/browser";
import { timeoutScale } from "../../tools/timeout-scale";
import { pour, watchText } from "./text-watch";

/** A page in the browser. */
export interface BrowserPage {
  /**
   * Loads an address.
   *
   * @returns what went wrong: errors on the console, exceptions, requests without a good answer
   * @throws Error if the page has not loaded within 30 s
   */
  open(url: string): Promise<readonly string[]>;
  /** Changes the screen's width in CSS pixels; below 600 it is a phone's. */
  resize(width: number): Promise<void>;
  /** The value of an expression in the page, which may be a promise of it. */
  evaluate(expression: string): Promise<unknown>;
  /** Types a text as from a keyboard. */
  type(text: string): Promise<void>;
  /** What the screen shows, in JPEG. */
  screenshot(): Promise<Uint8Array>;
  [Symbol.asyncDispose](): Promise<void>;
}

const arguments_ = [
  // Root without further namespaces cannot have the sandbox; the browser opens only this project's own pages.
  ...["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"],
  ...["--remote-debugging-address=127.0.0.1", "--remote-debugging-port=0", "about:blank"],
];

/**
 * Starts the browser in its tree, with processes and mounts of its own, and the network of this process.
 *
 * @throws Error with the browser's output if it does not start
 */
export async function startBrowser(): Promise<BrowserPage> {
  await using made = new AsyncDisposableStack();
  const child = Bun.spawn(
    [
      // It ends with this process, also if that is killed.
      ...["setpriv", "--pdeathsig", "KILL"],
      ...["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"],
      ...[`--root=${await browserTree()}`, "--mount-proc", BROWSER, ...arguments_],
    ],
    { stdin: "ignore", stdout: "ignore", stderr: "pipe", env: { HOME: "/tmp" } },
  );
  made.defer(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  const output = watchText();
  void pour(child.stderr, output);
  const address = /DevTools listening on (ws:\S+)/;
  const [, endpoint = ""] = address.exec(await output.waitFor(address, 30_000 * timeoutScale)) ?? [];
  const connection = await connect(endpoint);
  made.defer(() => connection.close());
  const page = await openPage(connection);
  const kept = made.move();
  return { ...page, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

const message = v.object({
  id: v.optional(v.number()),
  result: v.optional(v.looseObject({})),
  error: v.optional(v.object({ message: v.string() })),
  method: v.optional(v.string()),
  params: v.optional(v.looseObject({})),
});

/** A connection to the browser. */
interface Connection {
  /** Calls a method; rejects with the browser's message. */
  call(method: string, params?: object, sessionId?: string): Promise<unknown>;
  /** Receives each event. */
  listener: (method: string, params: unknown) => void;
  close(): void;
}

async function connect(endpoint: string): Promise<Connection> {
  const socket = new WebSocket(endpoint);
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", () => reject(new Error(`No connection to the browser at ${endpoint}.`)));
  });
  const open = new Map<number, PromiseWithResolvers<unknown>>();
  let last = 0;
  const connection: Connection = {
    call: (method, params = {}, sessionId) => {
      const id = ++last;
      const answer = Promise.withResolvers<unknown>();
      open.set(id, answer);
      socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }));
      return answer.promise;
    },
    listener: () => {},
    close: () => socket.close(),
  };
  socket.addEventListener("message", ({ data }) => {
    const { id, result, error, method, params } = v.parse(message, JSON.parse(String(data)));
    if (id === undefined) return connection.listener(method ?? "", params);
    const answer = open.get(id);
    open.delete(id);
    if (error === undefined) answer?.resolve(result);
    else answer?.reject(new Error(`The browser answered: ${error.message}`));
  });
  socket.addEventListener("close", () => {
    for (const { reject } of open.values()) reject(new Error("The browser has ended."));
  });
  return connection;
}

const target = v.object({ targetId: v.string() });
const session = v.object({ sessionId: v.string() });
const evaluated = v.object({
  result: v.object({ value: v.optional(v.unknown()) }),
  exceptionDetails: v.optional(v.object({ text: v.string(), exception: v.optional(v.looseObject({})) })),
});
const picture = v.object({ data: v.string() });

async function openPage(connection: Connection): Promise<Omit<BrowserPage, typeof Symbol.asyncDispose>> {
  const { targetId } = v.parse(target, await connection.call("Target.createTarget", { url: "about:blank" }));
  const attached = await connection.call("Target.attachToTarget", { targetId, flatten: true });
  const { sessionId } = v.parse(session, attached);
  const call = (method: string, params?: object) => connection.call(method, params, sessionId);
  for (const domain of ["Page", "Runtime", "Network", "Log"]) await call(`${domain}.enable`);
  return {
    open: async (url) => {
      const problems: string[] = [];
      const loaded = Promise.withResolvers<void>();
      const timer = setTimeout(() => loaded.reject(new Error(`${url} has not loaded.`)), 30_000 * timeoutScale);
      connection.listener = (method, params) => {
        if (method === "Page.loadEventFired") loaded.resolve();
        const problem = problemOf(method, params);
        if (problem !== undefined) problems.push(problem);
      };
      await call("Page.navigate", { url });
      await loaded.promise.finally(() => clearTimeout(timer));
      return problems;
    },
    resize: async (width) => {
      const size = width < 600 ? { height: 844, mobile: false } : { height: 900, mobile: false };
      await call("Emulation.setDeviceMetricsOverride", { width, ...size, deviceScaleFactor: 1 });
    },
    evaluate: async (expression) => {
      const answer = await call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
      const { result, exceptionDetails: thrown } = v.parse(evaluated, answer);
      if (thrown !== undefined) throw new Error(`${expression}: ${thrown.text} ${JSON.stringify(thrown.exception)}`);
      return result.value;
    },
    type: async (text) => void (await call("Input.insertText", { text })),
    screenshot: async () => {
      const { data } = v.parse(
        picture,
        await call("Page.captureScreenshot", { format: "jpeg", quality: 70, optimizeForSpeed: true }),
      );
      return Buffer.from(data, "base64");
    },
  };
}

const response = v.object({ response: v.object({ url: v.string(), status: v.number() }) });
const failure = v.object({ errorText: v.string(), canceled: v.optional(v.boolean()) });
const consoleCall = v.object({ type: v.string(), args: v.array(v.looseObject({})) });
const entry = v.object({ entry: v.object({ level: v.string(), text: v.string() }) });

/** What an event says went wrong; undefined for every other event. */
function problemOf(method: string, params: unknown): string | undefined {
  if (method === "Network.responseReceived") {
    const { url, status } = v.parse(response, params).response;
    return status >= 400 ? `${url}: status ${status}` : undefined;
  }
  if (method === "Network.loadingFailed") {
    const { errorText, canceled } = v.parse(failure, params);
    return canceled === true ? undefined : `a request failed: ${errorText}`;
  }
  if (method === "Runtime.consoleAPICalled") {
    const { type, args } = v.parse(consoleCall, params);
    return type === "error" || type === "assert" ? `console: ${JSON.stringify(args)}` : undefined;
  }
  if (method === "Log.entryAdded") {
    const { level, text } = v.parse(entry, params).entry;
    return level === "error" ? `log: ${text}` : undefined;
  }
  return method === "Runtime.exceptionThrown" ? `exception: ${JSON.stringify(params)}` : undefined;
}
