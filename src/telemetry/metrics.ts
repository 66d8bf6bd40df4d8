/**
 * What this plugin process reports about itself: *metrics*, which a Prometheus server reads, and *traces*, a record of each start with the
 * time of every stage. metrics.ts is the table of all metrics, from which the registry, the checks of docs/metrics.md and of the files in
 * contrib/ follow; registry.ts keeps their values, exposition.ts writes them as text, server.ts serves them. start-watch.ts measures a
 * start, otlp.ts and trace-file.ts write its trace.
 *
 * A *label* of a metric has one of the values that the table lists, and never a name of a job, an allocation, an image or a variable: the number
 * of series is known beforehand, and nothing of a job can be read from them.
 */

import { START_STAGES } from "./stages";

/** One metric. */
export interface Metric {
  readonly type: "counter" | "gauge" | "histogram" | "info";
  /** One sentence, without a backslash or a line break. */
  readonly help: string;
  /** Its name ends with it; see the OpenMetrics specification, "Units and Base Units". */
  readonly unit?: "seconds" | "bytes";
  /** The values of each label. */
  readonly labels?: Readonly<Record<string, readonly string[]>>;
  /** Upper bounds of a histogram's buckets, ascending. */
  readonly buckets?: readonly number[];
}

/** Seconds: from what a warm start takes (0.1) to what an image of gigabytes may take. */
const START_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600] as const;
const STAGE_BUCKETS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 300] as const;
const DELAY_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5] as const;

/** Kinds of failed starts, by the class of the error; see failureKind(). */
export const FAILURE_KINDS = ["job", "image", "source", "store", "launch", "network", "cancelled", "other"] as const;
/** Reasons of failed downloads; those of SourceProblem (image/source.ts), and others. */
export const PULL_PROBLEMS = [
  "unauthorized",
  "not found",
  "rate limited",
  "server",
  "name",
  "connection",
  "certificate",
  "timeout",
  "content",
  "unsupported",
  "cancelled",
  "store",
  "other",
] as const;
const RESULTS = ["success", "failure"] as const;

/** Every metric of the driver by its full name. */
export const METRICS = {
  nomad_nspawn_build_info: { type: "info", help: "Version, commit and runtime of the driver." },
  nomad_nspawn_tasks: {
    type: "gauge",
    help: "Tasks of this plugin process by state.",
    labels: { state: ["starting", "running", "exited"] },
  },
  nomad_nspawn_starts_total: { type: "counter", help: "Starts of tasks that have ended.", labels: { result: RESULTS } },
  nomad_nspawn_start_failures_total: {
    type: "counter",
    help: "Failed starts by the kind of their error.",
    labels: { kind: FAILURE_KINDS },
  },
  nomad_nspawn_start_duration_seconds: {
    type: "histogram",
    help: "Time from the agent's request to the running task, of starts that succeeded.",
    unit: "seconds",
    buckets: START_BUCKETS,
  },
  nomad_nspawn_start_stage_duration_seconds: {
    type: "histogram",
    help: "Time of each stage of a start.",
    unit: "seconds",
    labels: { stage: START_STAGES },
    buckets: STAGE_BUCKETS,
  },
  nomad_nspawn_recoveries_total: {
    type: "counter",
    help: "Tasks that this plugin process was asked to recover.",
    labels: { result: RESULTS },
  },
  nomad_nspawn_exits_total: {
    type: "counter",
    help: "Exits of tasks by cause.",
    labels: { cause: ["success", "failure", "signal", "oom", "storage_limit"] },
  },
  nomad_nspawn_oom_kills_total: { type: "counter", help: "Processes of tasks that the kernel killed for memory." },
  nomad_nspawn_reboots_total: { type: "counter", help: "Reboots of booted systems, each a restart of systemd-nspawn." },
  nomad_nspawn_shims_killed_total: {
    type: "counter",
    help: "Shims that were killed, and their containers with them.",
  },
  nomad_nspawn_destroy_failures_total: {
    type: "counter",
    help: "Removals of tasks that failed, and that the dangling reconciler tries again.",
  },
  nomad_nspawn_dangling_removed_total: {
    type: "counter",
    help: "Containers without a task that the dangling reconciler has removed.",
  },
  nomad_nspawn_rule_restorations_total: {
    type: "counter",
    help: "Times that the nftables table of the driver was removed by another program and restored.",
  },
  nomad_nspawn_pulls_total: {
    type: "counter",
    help: "Images that were fetched.",
    labels: { kind: ["container", "machine"] },
  },
  nomad_nspawn_pull_failures_total: {
    type: "counter",
    help: "Images that a task needed and that could not be fetched, by reason.",
    labels: { problem: PULL_PROBLEMS },
  },
  nomad_nspawn_pull_received_bytes_total: {
    type: "counter",
    help: "Bytes of images that were fetched, as their origin stores them.",
    unit: "bytes",
  },
  nomad_nspawn_pull_duration_seconds: {
    type: "histogram",
    help: "Time to fetch and unpack an image.",
    unit: "seconds",
    labels: { kind: ["container", "machine"] },
    buckets: START_BUCKETS,
  },
  nomad_nspawn_image_store_bytes: {
    type: "gauge",
    help: "Bytes of the unpacked layers in the image store.",
    unit: "bytes",
  },
  nomad_nspawn_image_store_free_bytes: {
    type: "gauge",
    help: "Free bytes on the disk of the image store.",
    unit: "bytes",
  },
  nomad_nspawn_log_lines_total: {
    type: "counter",
    help: "Lines of the log of this plugin process at the levels warn and error.",
    labels: { level: ["warn", "error"] },
  },
  nomad_nspawn_event_loop_delay_seconds: {
    type: "histogram",
    help: "How late a timer of this plugin process is that runs twice a second.",
    unit: "seconds",
    buckets: DELAY_BUCKETS,
  },
  process_resident_memory_bytes: { type: "gauge", help: "Memory of this plugin process.", unit: "bytes" },
  process_cpu_seconds_total: { type: "counter", help: "Processor time of this plugin process.", unit: "seconds" },
  process_start_time_seconds: {
    type: "gauge",
    help: "When this plugin process was started, in seconds since the epoch.",
    unit: "seconds",
  },
  process_open_fds: { type: "gauge", help: "Open file descriptors of this plugin process." },
} as const satisfies Readonly<Record<string, Metric>>;

type Metrics = typeof METRICS;

/** The names of the metrics of a type. */
export type MetricName<Type extends Metric["type"] = Metric["type"]> = {
  [Name in keyof Metrics]: Metrics[Name]["type"] extends Type ? Name : never;
}[keyof Metrics];

/** The labels that a value of a metric has. */
export type LabelsOf<Name extends MetricName> = Metrics[Name] extends { readonly labels: infer Labels }
  ? { readonly [Label in keyof Labels]: Labels[Label] extends readonly (infer Value)[] ? Value : never }
  : Readonly<Record<string, never>>;
