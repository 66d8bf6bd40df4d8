import { decode, encode } from "@msgpack/msgpack";
import * as v from "valibot";
import type { SupervisedRef } from "../supervisor/supervisor";

/** Version of the task handle this driver writes (TaskHandle.version). */
export const handleVersion = 1;

/** What RecoverTask needs of a task beyond its config. */
export interface TaskState {
  readonly ref: SupervisedRef;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

const schema = v.object({
  version: v.literal(handleVersion),
  ref: v.object({
    supervisor: v.picklist(["systemd", "process"]),
    machine: v.string(),
    mode: v.picklist(["boot", "pid1", "pid2"]),
    bootId: v.string(),
  }),
  startedAt: v.number(),
});

/** Writes TaskHandle.driver_state. */
export function encodeTaskState(state: TaskState): Uint8Array {
  return encode({ version: handleVersion, ref: state.ref, startedAt: state.startedAt });
}

/** Thrown for a handle that cannot be read. */
export class HandleError extends Error {
  override readonly name = "HandleError";
}

/**
 * Reads TaskHandle.driver_state.
 *
 * @throws HandleError when it is not of this driver, or of a version it does not know
 */
export function decodeTaskState(bytes: Uint8Array): TaskState {
  try {
    return v.parse(schema, bytes.length === 0 ? undefined : decode(bytes));
  } catch (cause) {
    throw new HandleError(
      "The task's handle was not written by this version of the nspawn driver (another driver's, or a newer version's): the task cannot be recovered.",
      { cause },
    );
  }
}
