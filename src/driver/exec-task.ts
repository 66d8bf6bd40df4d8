import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type {
  ExecTaskRequest,
  ExecTaskResponseSchema,
} from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { sessionOutput } from "../exec/session-output";
import { exitCode } from "../exec/session-plan";
import { settles } from "../lib/deadline";
import { openTaskSession } from "./exec-session";
import type { Services } from "./services";

/** How many bytes of the end of each stream are kept. */
const MAX_OUTPUT = 1024 * 1024;

/**
 * Runs a command without input in a task's container and waits until it exits. Script checks of services use this.
 *
 * @throws Error if it exceeds the request's timeout; it is killed then
 */
export async function execTask(
  services: Services,
  { taskId, command, timeout }: ExecTaskRequest,
): Promise<MessageInitShape<typeof ExecTaskResponseSchema>> {
  const session = await openTaskSession(services, taskId, command, false);
  try {
    session.stdin.close();
    const kept = { stdout: new Tail(), stderr: new Tail() };
    const collect = async () => {
      for await (const { stream, bytes } of sessionOutput(session)) if (bytes !== undefined) kept[stream].append(bytes);
      return session.ended;
    };
    const collected = collect();
    const limit = timeout === undefined ? 0 : durationMs(timeout);
    if (limit > 0 && !(await settles(collected, limit))) {
      await session.kill();
      throw new Error(`The command ${JSON.stringify(command[0])} was killed: it took longer than ${limit / 1000} s.`);
    }
    const end = await collected;
    if (end.complaint !== undefined) kept.stderr.append(Buffer.from(end.complaint));
    return {
      stdout: kept.stdout.bytes(),
      stderr: kept.stderr.bytes(),
      result: { exitCode: exitCode(end), signal: end.signal },
    };
  } finally {
    await session.close();
  }
}

/** The last bytes of what is appended. */
class Tail {
  readonly #parts: Uint8Array[] = [];
  #size = 0;

  append(bytes: Uint8Array): void {
    this.#parts.push(bytes.slice());
    this.#size += bytes.length;
    for (let first = this.#parts[0]; first && this.#size - first.length >= MAX_OUTPUT; first = this.#parts[0]) {
      this.#size -= first.length;
      this.#parts.shift();
    }
  }

  bytes(): Uint8Array {
    return Buffer.concat(this.#parts).subarray(-MAX_OUTPUT);
  }
}
