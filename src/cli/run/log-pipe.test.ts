import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { forwardOutput, openLogFifo } from "./log-pipe";

describe("log-fifo", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "log-fifo-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  function collect(name: string) {
    let text = "";
    const fifo = openLogFifo(join(directory, name), async (chunk) => {
      text += new TextDecoder().decode(chunk);
    });
    return { fifo, text: () => text };
  }

  /** Writes as a container does, with the FIFO open for reading too, some time after it was created. */
  const writer = (path: string, script: string) =>
    Bun.spawn(["/bin/sh", "-c", `exec 3<>"$1"; ${script}`, "sh", path], { stdin: "ignore", stdout: "ignore" });

  test("is accessible to its owner alone, and forwards what a late writer writes, until it exits", async () => {
    const { fifo, text } = collect("stdout");
    expect(statSync(fifo.path).mode & 0o777).toBe(0o600);
    await Bun.sleep(20);
    const child = writer(fifo.path, "echo one >&3; sleep 0.05; echo two >&3; sleep 0.05; echo three >&3");
    await Bun.sleep(30);
    fifo.release();
    await fifo.done;
    expect(text()).toBe("one\ntwo\nthree\n");
    expect(await child.exited).toBe(0);
  });

  test("ends if no process ever wrote", async () => {
    const { fifo, text } = collect("stderr");
    fifo.release();
    fifo.release();
    await fifo.done;
    expect(text()).toBe("");
  });

  test("a path that exists is an error with mkfifo's message", () => {
    const { fifo } = collect("taken");
    expect(() => collect("taken")).toThrow(/Cannot create the FIFO .*exists/);
    fifo.release();
  });
});

describe("pass-on", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);

  test("the next chunk waits for the one before", async () => {
    const taken: string[] = [];
    let finish: (() => void) | undefined;
    const stream = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        taken.push(chunk.toString());
        finish = done;
      },
    });
    let over = false;
    const passed = forwardOutput(stream, () => {})(bytes("one")).then(() => {
      over = true;
    });
    await Bun.sleep(5);
    expect({ taken, over }).toEqual({ taken: ["one"], over: false });
    finish?.();
    await passed;
    expect(over).toBe(true);
  });

  test("a reader that went away is reported once, and what follows is dropped", async () => {
    let reported = 0;
    let writes = 0;
    const stream = new Writable({
      write: (_chunk, _encoding, done) => {
        writes += 1;
        done(new Error("EPIPE"));
      },
    });
    const pass = forwardOutput(stream, () => {
      reported += 1;
    });
    await pass(bytes("one"));
    await pass(bytes("two"));
    expect({ reported, writes }).toEqual({ reported: 1, writes: 1 });
  });
});
