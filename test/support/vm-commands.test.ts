import { expect, test } from "bun:test";
import * as v from "valibot";
import { forEachMessage, toLine, type VmRequest, vmReply } from "../../tools/machines/vm-channel";
import { openCommands } from "../../tools/machines/vm-commands";

const base64 = (text: string) => Buffer.from(text).toString("base64");

test("simultaneous commands have separate output with complete characters, and exit codes", async () => {
  const sent: VmRequest[] = [];
  const commands = openCommands((request) => sent.push(request));
  const [one, two] = [commands.run(["one"], { cwd: "/usr", stdin: "typed" }), commands.run(["two"])];
  expect(sent).toEqual([
    { id: 1, argv: ["one"], cwd: "/usr", stdin: "typed" },
    { id: 2, argv: ["two"], cwd: "/", stdin: "" },
  ]);
  const umlaut = Buffer.from("ü");
  commands.take({ kind: "stdout", id: 1, bytes: umlaut.subarray(0, 1).toString("base64") });
  commands.take({ kind: "stdout", id: 2, bytes: base64("out") });
  commands.take({ kind: "stdout", id: 1, bytes: umlaut.subarray(1).toString("base64") });
  commands.take({ kind: "stderr", id: 2, bytes: base64("err") });
  commands.take({ kind: "ended", id: 2, code: 7 });
  commands.take({ kind: "ended", id: 1, code: 0 });
  expect(await one).toEqual({ code: 0, stdout: "ü", stderr: "" });
  expect(await two).toEqual({ code: 7, stdout: "out", stderr: "err" });
});

test("a command that cannot be started fails, and so do all commands of a machine that is gone", async () => {
  const commands = openCommands(() => {});
  const wrong = commands.run(["wrong"]);
  commands.take({ kind: "failed", id: 1, reason: "no such program" });
  expect(wrong).rejects.toThrow("no such program");
  const running = commands.run(["running"]);
  commands.abandon(new Error("the machine is gone"));
  expect(running).rejects.toThrow("the machine is gone");
  expect(commands.run(["later"])).rejects.toThrow("the machine is gone");
});

test("messages are found in parts of any size", async () => {
  const replies = [
    { kind: "ready", state: "running" },
    { kind: "ended", id: 1, code: 255 },
  ] as const;
  const bytes = new TextEncoder().encode(replies.map(toLine).join(""));
  async function* parts(): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < bytes.length; index += 7) yield bytes.subarray(index, index + 7);
  }
  const found: unknown[] = [];
  await forEachMessage(parts(), (message) => found.push(v.parse(vmReply, message)));
  expect(found).toEqual([...replies]);
});
