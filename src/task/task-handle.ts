import { encode } from "@msgpack/msgpack";
import * as v from "valibot";
import { decodeMsgpack } from "../lib/msgpack";
import type { ContainerRef } from "../supervisor/supervisor";

/** Version of the task handles that this driver writes (TaskHandle.version). */
export const HANDLE_VERSION = 1;

/** What RecoverTask needs besides the task's config. */
export interface TaskState {
  readonly ref: ContainerRef;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

const schema = v.object({
  version: v.literal(HANDLE_VERSION),
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
  return encode({ version: HANDLE_VERSION, ref: state.ref, startedAt: state.startedAt });
}

/** Thrown for an invalid handle. */
export class HandleError extends Error {
  override readonly name = "HandleError";
}

/** Reads TaskHandle.driver_state. @throws HandleError if it was written by another driver or by an unknown version */
export function decodeTaskState(bytes: Uint8Array): TaskState {
  try {
    return v.parse(schema, bytes.length === 0 ? undefined : decodeMsgpack(bytes, "number"));
  } catch (cause) {
    throw new HandleError(
      "Cannot recover the task: its handle was not written by this version of the nspawn driver, but by another driver or a newer version.",
      { cause },
    );
  }
}
