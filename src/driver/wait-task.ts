import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  ExitResultSchema,
  WaitTaskResponseSchema,
} from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { Exit } from "../nspawn/payload";
import { whileAsked } from "./rpc";
import type { Services } from "./services";

/** An exit status as Nomad's ExitResult. */
export function exitResult({ code, signal, oomKilled }: Exit): MessageInitShape<typeof ExitResultSchema> {
  return { exitCode: code, signal, oomKilled };
}

/** Waits until a task has exited; several callers may wait for one task. */
export async function waitTask(
  services: Services,
  taskId: string,
  signal: AbortSignal,
): Promise<MessageInitShape<typeof WaitTaskResponseSchema>> {
  const exit = await whileAsked(services.tasks.get(taskId).ended, signal);
  return { result: exitResult(exit), err: exit.message ?? "" };
}
