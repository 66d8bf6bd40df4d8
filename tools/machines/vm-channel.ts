/** The messages between the test harness and the agent in a virtual machine: JSON, one per line. */

import * as v from "valibot";

const id = v.number();
const bytes = v.string();

/** A request of the harness: to run a command. */
export const vmRequest = v.object({
  id,
  argv: v.array(v.string()),
  cwd: v.string(),
  stdin: v.string(),
});

/** A message of the agent: the end of the boot, a part of a command's output in base64, or a command's exit. */
export const vmReply = v.variant("kind", [
  v.object({ kind: v.literal("ready"), state: v.string() }),
  v.object({ kind: v.literal("stdout"), id, bytes }),
  v.object({ kind: v.literal("stderr"), id, bytes }),
  v.object({ kind: v.literal("ended"), id, code: v.number() }),
  v.object({ kind: v.literal("failed"), id, reason: v.string() }),
]);

export type VmRequest = v.InferOutput<typeof vmRequest>;
export type VmReply = v.InferOutput<typeof vmReply>;

/** Calls back with every complete line, in order, each after the previous one was handled. */
export async function forEachMessage(
  input: AsyncIterable<Uint8Array>,
  callback: (message: unknown) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of input) {
    const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") callback(JSON.parse(line));
  }
}

/** A message in its wire format. */
export function toLine(message: VmRequest | VmReply): string {
  return `${JSON.stringify(message)}\n`;
}
