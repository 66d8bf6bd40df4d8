import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type InspectTaskResponseSchema, TaskState } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { Task } from "../task/task";
import { exitResult } from "./wait-task";

/** Go's zero time in seconds since the epoch. */
const GO_ZERO_SECONDS = -62_135_596_800n;

/**
 * A time as Nomad's Go client expects it: the client rejects a status with unset timestamps (plugins/drivers/utils.go,
 * taskStatusFromProto()), and Go's server sends its zero time, 0001-01-01T00:00:00Z, for what has not happened yet.
 *
 * @param at milliseconds since the epoch
 */
function goTimestamp(at: number | undefined): Timestamp {
  return at === undefined ? create(TimestampSchema, { seconds: GO_ZERO_SECONDS }) : timestampFromMs(at);
}

/** A task's status. */
export function inspectTask(task: Task): MessageInitShape<typeof InspectTaskResponseSchema> {
  const { identity, container, startedAt, exit, network } = task;
  const networkOverride = network?.override();
  const pid = container.mainPid();
  return {
    task: {
      id: identity.id,
      name: identity.name,
      state: exit === undefined ? TaskState.RUNNING : TaskState.EXITED,
      startedAt: goTimestamp(startedAt),
      completedAt: goTimestamp(exit?.at),
      // Set for a running task too: the Go client reads it without checking whether it is present.
      result: exit === undefined ? {} : exitResult(exit),
    },
    ...(networkOverride === undefined ? {} : { networkOverride }),
    driver: {
      attributes: {
        machine: container.ref.machine,
        supervisor: container.ref.supervisor,
        ...(pid === undefined ? {} : { pid: String(pid) }),
      },
    },
  };
}
