import type { Logger } from "../lib/logger";
import type { FAILURE_KINDS } from "./metrics";
import type { MetricRegistry } from "./registry";
import type { StartStage } from "./stages";

/** What a start is of. */
export interface StartSubject {
  readonly task: string;
  readonly alloc: string;
  readonly job: string;
  readonly namespace: string;
  readonly machine: string;
}

/** A stage with its times, in milliseconds since the epoch. */
export interface StageTime {
  readonly stage: StartStage;
  readonly from: number;
  readonly to: number;
}

/** A start that has ended. */
export interface StartTrace {
  readonly subject: StartSubject;
  readonly from: number;
  readonly to: number;
  /** In order; the stage in which a start fails has none. */
  readonly stages: readonly StageTime[];
  /** The sentence with which it failed, and its kind. */
  readonly failure?: { readonly kind: FailureKind; readonly message: string };
}

/** The kind of a failed start. */
export type FailureKind = (typeof FAILURE_KINDS)[number];

/** Kinds by the names of the classes of errors. */
const KINDS: Readonly<Record<string, FailureKind>> = {
  ConfigError: "job",
  ImageReferenceError: "job",
  CredentialsError: "source",
  ImageError: "image",
  ManifestError: "image",
  PolicyError: "image",
  SignatureError: "image",
  UnpackError: "image",
  SourceError: "source",
  StoreError: "store",
  SizeLimitError: "store",
  OverlayError: "store",
  LaunchError: "launch",
  MountError: "launch",
  FirewallError: "network",
  NetlinkError: "network",
  RecordError: "network",
  StartCancelledError: "cancelled",
  ShuttingDownError: "cancelled",
};

/** The kind of an error with which a start failed, by its class. Pure. */
export function failureKind(error: unknown): FailureKind {
  return (error instanceof Error && Object.hasOwn(KINDS, error.name) ? KINDS[error.name] : undefined) ?? "other";
}

/** What a start reports to. */
export interface StartContext {
  readonly log: Pick<Logger, "trace">;
  readonly metrics: Pick<MetricRegistry, "add" | "observe">;
  /** Gets each start that has ended; it must not throw. */
  readonly onTrace: (trace: StartTrace) => void;
  /** Milliseconds since the epoch, with fractions; monotonic. */
  readonly now?: () => number;
}

/** Measures one start: its stages follow each other, and each is a log line at level "trace". */
export class StartWatch {
  readonly #now: () => number;
  readonly #from: number;
  readonly #stages: StageTime[] = [];
  #last: number;

  constructor(
    private readonly context: StartContext,
    private readonly subject: StartSubject,
  ) {
    this.#now = context.now ?? (() => performance.timeOrigin + performance.now());
    this.#from = this.#now();
    this.#last = this.#from;
  }

  /** The stage ends now; the next one begins. */
  readonly done = (stage: StartStage): void => {
    const now = this.#now();
    const ms = now - this.#last;
    this.context.log.trace("start stage", { ...this.subject, stage, ms: Math.round(ms * 10) / 10 });
    this.context.metrics.observe("nomad_nspawn_start_stage_duration_seconds", { stage }, ms / 1000);
    this.#stages.push({ stage, from: this.#last, to: now });
    this.#last = now;
  };

  /** The task runs, or has run. */
  succeeded(): void {
    const to = this.#now();
    const { metrics, onTrace } = this.context;
    metrics.add("nomad_nspawn_starts_total", { result: "success" });
    metrics.observe("nomad_nspawn_start_duration_seconds", {}, (to - this.#from) / 1000);
    onTrace({ subject: this.subject, from: this.#from, to, stages: this.#stages });
  }

  /** The start has failed. @param message its sentence */
  failed(error: unknown, message: string): void {
    const kind = failureKind(error);
    const { metrics, onTrace } = this.context;
    metrics.add("nomad_nspawn_starts_total", { result: "failure" });
    metrics.add("nomad_nspawn_start_failures_total", { kind });
    const failure = { kind, message };
    onTrace({ subject: this.subject, from: this.#from, to: this.#now(), stages: this.#stages, failure });
  }
}
