/**
 * Runs inside the virtual machine of the tests: `vm-agent.ts PORT` runs commands that it receives on a virtio-serial port
 * and sends the results back.
 */

import { createReadStream, openSync, writeSync } from "node:fs";
import * as v from "valibot";
import { attempt, signalNumber } from "../../tools/command";
import { forEachMessage, toLine, type VmReply, type VmRequest, vmRequest } from "../../tools/machines/vm-channel";

const port = process.argv[2];
if (port === undefined) throw new Error("usage: vm-agent.ts PORT");
const fd = openSync(port, "r+");

/** Waits if the harness does not read: the command that prints then waits too. */
function tell(reply: VmReply): void {
  const line = Buffer.from(toLine(reply));
  for (let written = 0; written < line.length; ) written += writeSync(fd, line, written);
}

async function serve({ id, argv, cwd, stdin }: VmRequest): Promise<void> {
  const child = Bun.spawn(argv, {
    cwd,
    env: process.env,
    stdin: new TextEncoder().encode(stdin),
    stdout: "pipe",
    stderr: "pipe",
  });
  const pass = async (kind: "stdout" | "stderr", stream: ReadableStream<Uint8Array>) => {
    for await (const chunk of stream) tell({ kind, id, bytes: Buffer.from(chunk).toString("base64") });
  };
  await Promise.all([pass("stdout", child.stdout), pass("stderr", child.stderr), child.exited]);
  tell({ kind: "ended", id, code: child.exitCode ?? 128 + signalNumber(child.signalCode) });
}

const { stdout } = await attempt(["systemctl", "is-system-running", "--wait"]);
tell({ kind: "ready", state: stdout.trim() });
await forEachMessage(createReadStream("", { fd, autoClose: false }), (message) => {
  const request = v.parse(vmRequest, message);
  serve(request).catch((error) => tell({ kind: "failed", id: request.id, reason: String(error) }));
});
