/**
 * Nomad's driver API, one handler per file: protobuf in and out. What the handlers work with exists once per plugin process and is
 * built in runtime/runtime.ts.
 */

import type { Launcher } from "../launch/launcher";
import type { Logger } from "../lib/logger";
import type { DanglingReconciler } from "../task/dangling-reconciler";
import type { TaskEvents } from "../task/events";
import type { StatsTicker } from "../task/stats";
import type { TaskRegistry } from "../task/task-registry";
import type { HostProbe } from "./host-probe";
import type { Lifecycle } from "./lifecycle";
import type { LiveConfig } from "./live-config";

/** The objects that the RPC handlers of one plugin process share. */
export interface Services {
  readonly log: Logger;
  readonly config: LiveConfig;
  readonly host: HostProbe;
  readonly tasks: TaskRegistry;
  readonly events: TaskEvents;
  readonly statsTicker: StatsTicker;
  readonly launcher: Launcher;
  readonly dangling: DanglingReconciler;
  readonly lifecycle: Lifecycle;
  /** Schedules the removal of images that no task uses any more. */
  readonly scheduleImageGc: () => void;
  /** Aborts when this process exits or drains: downloads for tasks that are being started are cancelled then. */
  readonly shutdown: AbortSignal;
}
