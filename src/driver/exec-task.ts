import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type {
  ExecTaskRequest,
  ExecTaskResponseSchema,
} from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { Session } from "../exec/session";
import { sessionOutput } from "../exec/session-output";
import { exitCode } from "../exec/session-plan";
import { Tail } from "../lib/buffers";
import { settles } from "../lib/deadline";
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
    const kept = { stdout: new Tail(MAX_OUTPUT), stderr: new Tail(MAX_OUTPUT) };
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

/**
 * Runs a command in a task's container, as both RPCs for it do.
 *
 * @throws ShuttingDownError, TaskNotFoundError, ContainerGoneError, EnterError
 */
export function openTaskSession(
  { tasks, lifecycle }: Pick<Services, "tasks" | "lifecycle">,
  taskId: string,
  command: readonly string[],
  terminal: boolean,
): Promise<Session> {
  const task = tasks.get(taskId);
  lifecycle.requireWork(`A command in task "${task.identity.name}"`);
  return task.exec(command, terminal);
}
