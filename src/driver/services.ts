/**
 * Nomad's driver API (its package plugins/drivers), one *handler* per RPC and file: protobuf in and out, errors mapped in rpc.ts.
 * A handler decides nothing about containers; it calls launch/, task/ and exec/. driver-service.ts registers them all.
 *
 * *Services* are the objects that the handlers of one plugin process share; runtime/runtime.ts builds them. The *fingerprint* is what the
 * driver reports to the agent about this client: whether it is healthy, and which attributes it has. The *live config* is the plugin's
 * config, which the agent may set again. The *lifecycle* is the driver's own: a plugin process that the agent is shutting down takes no
 * more work.
 */

import type { Launcher } from "../launch/launcher";
import type { Logger } from "../lib/logger";
import type { ForwardPolicy } from "../network/firewall/forward-policy";
import type { DanglingReconciler } from "../task/dangling-reconciler";
import type { TaskEvents } from "../task/events";
import type { StatsTicker } from "../task/stats";
import type { NamesByMachine } from "../task/task-names";
import type { TaskRegistry } from "../task/task-registry";
import type { MetricRegistry } from "../telemetry/registry";
import type { StartSubject, StartWatch } from "../telemetry/start-watch";
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
  /** Nomad's names of tasks, which log lines about their machines get. */
  readonly names: NamesByMachine;
  readonly metrics: MetricRegistry;
  /** Measures the start of a task, for metrics, traces and the log. */
  readonly watchStart: (subject: StartSubject) => StartWatch;
  /** Finds firewall chains that drop what containers send. */
  readonly forwardPolicy: ForwardPolicy;
  /** Schedules the removal of images that no task uses any more. */
  readonly scheduleImageGc: () => void;
  /** Aborts when this process exits or accepts no more work: downloads for tasks that are being started are cancelled then. */
  readonly shutdown: AbortSignal;
}
