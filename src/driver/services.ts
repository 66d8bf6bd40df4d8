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

/** What the handlers of the driver's RPCs share in one plugin process. */
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
  /** Aborts when this process ends or takes no more work: downloads for tasks that are being started end then. */
  readonly shutdown: AbortSignal;
}
