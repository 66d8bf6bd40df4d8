import { errorText } from "../host/error-text";
import { SIGKILL } from "../host/signals";
import type { Exit } from "./supervisor";

/** The exit of a container whose exit status cannot be read: it counts as killed. */
export function lostExit(error: unknown): Exit {
  return { code: 0, signal: SIGKILL, oomKilled: false, message: errorText(error), at: Date.now() };
}
