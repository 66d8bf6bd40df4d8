import { expect, test } from "bun:test";
import { Writable } from "node:stream";
import { passOn } from "./pass-on";

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
  const passed = passOn(stream, () => {})(bytes("one")).then(() => {
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
  const pass = passOn(stream, () => {
    reported += 1;
  });
  await pass(bytes("one"));
  await pass(bytes("two"));
  expect({ reported, writes }).toEqual({ reported: 1, writes: 1 });
});
