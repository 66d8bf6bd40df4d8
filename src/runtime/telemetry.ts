import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { hostname } from "node:os";
import type { LiveConfig } from "../driver/live-config";
import { SourceError } from "../image/source";
import { isMissing, StoreError } from "../lib/errors";
import { commit, version } from "../lib/executable";
import type { LogFields, Logger } from "../lib/logger";
import type { PullObserver } from "../rootfs/pull-observer";
import { watchEventLoop } from "../telemetry/event-loop";
import type { PULL_PROBLEMS } from "../telemetry/metrics";
import { otlpLine } from "../telemetry/otlp";
import type { MetricRegistry } from "../telemetry/registry";
import { MetricsServer } from "../telemetry/server";
import { type StartSubject, StartWatch } from "../telemetry/start-watch";
import { TraceFile } from "../telemetry/trace-file";

interface TelemetryContext {
  readonly log: Logger;
  /** For the lines about the stages of starts. */
  readonly startLog: Logger;
  readonly metrics: MetricRegistry;
  readonly config: LiveConfig;
}

/** The metrics' server and the traces of one plugin process; disposing of it ends both. */
interface Telemetry extends AsyncDisposable {
  readonly watchStart: (subject: StartSubject) => StartWatch;
}

/** Serves metrics and writes traces as the current config says: nothing without one. */
export function createTelemetry({ log, startLog, metrics, config }: TelemetryContext): Telemetry {
  const server = new MetricsServer(metrics, log);
  let eventLoop: Disposable | undefined;
  const follow = () => {
    const { address } = config.options.telemetry;
    server.listenAt(address);
    if (address === undefined) {
      eventLoop?.[Symbol.dispose]();
      eventLoop = undefined;
    } else {
      eventLoop ??= watchEventLoop((seconds) => metrics.observe("nomad_nspawn_event_loop_delay_seconds", {}, seconds));
    }
  };
  const stopFollowing = config.onChange(follow);
  const target = () => {
    const { traces: path, traces_max_size: mostBytes } = config.options.telemetry;
    return path === undefined ? undefined : { path, mostBytes };
  };
  const traces = new TraceFile(target, log);
  const origin = { host: hostname(), version, randomBytes };
  const onTrace = (trace: Parameters<typeof otlpLine>[0]) => {
    if (target() !== undefined) traces.write(otlpLine(trace, origin));
  };
  return {
    watchStart: (subject) => new StartWatch({ log: startLog, metrics, onTrace }, subject),
    [Symbol.asyncDispose]: async () => {
      stopFollowing();
      eventLoop?.[Symbol.dispose]();
      server[Symbol.dispose]();
      await traces.flush();
    },
  };
}

/** Where an image store's sizes come from. */
interface MeasuredStore {
  storedBytes(): Promise<number>;
  freeBytes(): number;
}

/** Adds what is measured only when the metrics are read. The store may not exist yet: then its sizes are left out. */
export function observeHost(
  metrics: MetricRegistry,
  sources: {
    readonly tasks: () => Readonly<Record<"starting" | "running" | "exited", number>>;
    readonly store: () => MeasuredStore;
  },
): void {
  metrics.info("nomad_nspawn_build_info", { version, commit, runtime: `bun ${Bun.version}` });
  metrics.onCollect(() => {
    const counts = sources.tasks();
    for (const state of ["starting", "running", "exited"] as const) {
      metrics.set("nomad_nspawn_tasks", { state }, counts[state]);
    }
    const { user, system } = process.cpuUsage();
    metrics.set("process_cpu_seconds_total", {}, (user + system) / 1e6);
    metrics.set("process_resident_memory_bytes", {}, process.memoryUsage.rss());
    metrics.set("process_start_time_seconds", {}, Math.round(performance.timeOrigin) / 1000);
    // The directory itself is one of them while it is read.
    metrics.set("process_open_fds", {}, readdirSync("/proc/self/fd").length - 1);
  });
  metrics.onCollect(async () => {
    try {
      const store = sources.store();
      metrics.set("nomad_nspawn_image_store_free_bytes", {}, store.freeBytes());
      metrics.set("nomad_nspawn_image_store_bytes", {}, await store.storedBytes());
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  });
}

/** Counts downloads of one kind of images. */
export function pullObserver(metrics: MetricRegistry, kind: "container" | "machine"): PullObserver {
  return {
    done: ({ bytes, ms }) => {
      metrics.add("nomad_nspawn_pulls_total", { kind });
      metrics.add("nomad_nspawn_pull_received_bytes_total", {}, bytes);
      metrics.observe("nomad_nspawn_pull_duration_seconds", { kind }, ms / 1000);
    },
    failed: (error) => metrics.add("nomad_nspawn_pull_failures_total", { problem: pullProblem(error) }),
  };
}

/** Why an image could not be fetched, as a label. Pure. */
export function pullProblem(error: unknown): (typeof PULL_PROBLEMS)[number] {
  if (error instanceof SourceError) return error.problem;
  return error instanceof StoreError ? "store" : "other";
}

/** Counts the lines that a logger writes at the levels warn and error. */
export function countedLogger(log: Logger, metrics: Pick<MetricRegistry, "add">): Logger {
  const counted = (level: "warn" | "error") => (message: string, fields?: LogFields) => {
    metrics.add("nomad_nspawn_log_lines_total", { level });
    log[level](message, fields);
  };
  return {
    trace: (message, fields) => log.trace(message, fields),
    debug: (message, fields) => log.debug(message, fields),
    info: (message, fields) => log.info(message, fields),
    warn: counted("warn"),
    error: counted("error"),
    named: (name) => countedLogger(log.named(name), metrics),
  };
}
