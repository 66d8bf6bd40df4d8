import { settles } from "../lib/deadline";
import type { ContainerHandle } from "./container";
import { FilterCache } from "./seccomp";
import { openSession } from "./session";
import { sessionOutput } from "./session-output";
import { exitCode } from "./session-plan";

/** More than the driver reads of any command. */
const MAX_OUTPUT = 64 * 1024;

/**
 * The standard output of a command of the driver's own in a container, as root; at most 64 KiB of it.
 *
 * @param timeoutMs the command is killed after this time
 * @returns undefined if it failed, was not found, or took too long
 */
export async function commandOutput(
  container: ContainerHandle,
  command: readonly string[],
  timeoutMs: number,
): Promise<string | undefined> {
  try {
    const request = { command, terminal: false, filters: new FilterCache() };
    const session = await openSession(container, { environment: {} }, request);
    try {
      session.stdin.close();
      const parts: Uint8Array[] = [];
      let size = 0;
      const collect = async () => {
        for await (const { stream, bytes } of sessionOutput(session)) {
          if (stream !== "stdout" || bytes === undefined || size >= MAX_OUTPUT) continue;
          parts.push(bytes.slice());
          size += bytes.length;
        }
        return exitCode(await session.ended);
      };
      const collected = collect();
      const over = collected.catch(() => {});
      if (!(await settles(over, timeoutMs))) return undefined;
      return (await collected) === 0 ? Buffer.concat(parts).subarray(0, MAX_OUTPUT).toString("utf8") : undefined;
    } finally {
      await session.close();
    }
  } catch {
    // The container is gone, or the command cannot be run in it.
    return undefined;
  }
}
