import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type InspectTaskResponseSchema, TaskState } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { Task } from "../task/task";
import { exitResult } from "./wait-task";

/** What is known of a task. */
export function inspectTask(task: Task): MessageInitShape<typeof InspectTaskResponseSchema> {
  const { identity, supervised, startedAt, exit, network } = task;
  const networkOverride = network?.override();
  const pid = supervised.mainPid();
  return {
    task: {
      id: identity.id,
      name: identity.name,
      state: exit === undefined ? TaskState.RUNNING : TaskState.EXITED,
      startedAt: timestampFromMs(startedAt),
      ...(exit === undefined ? {} : { completedAt: timestampFromMs(exit.at), result: exitResult(exit) }),
    },
    ...(networkOverride === undefined ? {} : { networkOverride }),
    driver: {
      attributes: {
        machine: supervised.ref.machine,
        supervisor: supervised.ref.supervisor,
        ...(pid === undefined ? {} : { pid: String(pid) }),
      },
    },
  };
}
