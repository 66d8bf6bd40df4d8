import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectStatus, type StatusListener, serveStatus } from "./status-protocol";

/** Listens, and never accepts a connection. */
const BUSY = `
  Bun.listen({ unix: process.argv.at(-1), socket: { data() {} } });
  console.log("listening");
  Bun.sleepSync(60_000);
`;

function withSocket(body: (path: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const directory = mkdtempSync(join(tmpdir(), "status-"));
    try {
      await body(join(directory, "socket"));
    } finally {
      rmSync(directory, { recursive: true });
    }
  };
}

function listener(): StatusListener & { readonly received: string[] } {
  const received: string[] = [];
  return {
    received,
    running: (pid) => received.push(`running ${pid}`),
    started: () => received.push("started"),
    exited: () => received.push("exited"),
    gone: () => received.push("gone"),
  };
}

/** Without yielding to the event loop, which must not see the connection before its other end is closed. */
function killAndAwait(pid: number): void {
  process.kill(pid, "SIGKILL");
  const ended = () =>
    readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ") && readdirSync(`/proc/${pid}/task`).length === 1;
  while (!ended()) Bun.sleepSync(1);
}

test(
  "a missing socket has no listener",
  withSocket(async (path) => {
    expect(await connectStatus(path, listener())).toBeUndefined();
    expect(await connectStatus(join(path, "socket"), listener())).toBeUndefined();
  }),
);

test(
  "a shim that exits before it accepts a connection counts as not listening, and so does one that exited before",
  withSocket(async (path) => {
    const child = Bun.spawn([process.execPath, "-e", BUSY, path], { stdin: "ignore", stdout: "pipe" });
    try {
      await child.stdout.getReader().read();
      const events = listener();
      const connecting = connectStatus(path, events);
      killAndAwait(child.pid);
      expect(await connecting).toBeUndefined();
      expect(events.received).toEqual([]);
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
    expect(await connectStatus(path, listener())).toBeUndefined();
  }),
);

test(
  "a client gets the state and its responses, and nothing after it has closed",
  withSocket(async (path) => {
    const asked: string[] = [];
    const server = serveStatus(path, { stop: () => asked.push("stop"), inspect: () => asked.push("look") });
    server.send("running 7 1");
    server.started();
    const events = listener();
    const connection = await connectStatus(path, events);
    await connection?.inspect();
    await connection?.stop();
    expect(asked).toEqual(["look", "stop"]);
    expect(events.received).toEqual(["running 7", "started"]);
    connection?.close();
    await connection?.stop();
    server.stopListening();
    expect(events.received).toEqual(["running 7", "started"]);
    expect(asked).toEqual(["look", "stop"]);
  }),
);
