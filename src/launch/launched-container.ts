import type { ExecContext } from "../exec/session-plan";
import type { TaskNetwork } from "../network/network";
import type { PullWatch } from "../rootfs/rootfs";
import type { Container } from "../supervisor/supervisor";
import type { StartStage } from "../telemetry/stages";
import type { ChangesLimit } from "./changes-limit";
import type { JournalTarget } from "./logs";

/** A started or recovered container, with everything that a task needs of it. */
export interface LaunchedContainer {
  readonly container: Container;
  readonly exec: ExecContext;
  /** The signal that stops the task if the job names none; absent: the driver's own default. */
  readonly stopSignal?: string;
  /** The limit of its changes to its root; undefined if they are not limited, or in memory. */
  readonly changes: ChangesLimit | undefined;
  /** Where the journal of its system goes; undefined: nowhere. */
  readonly journal?: JournalTarget | undefined;
  /** Undefined if the container has no network of its own. */
  readonly network: TaskNetwork | undefined;
  /** Notes for the job's author, as sentences. */
  readonly warnings: readonly string[];
  /** Whether a booted system has reported that it is up. */
  readonly systemUp: boolean;
  /** What systemd-nspawn may be doing while the payload does not run yet; see preparationNote(). */
  readonly preparing: string;
  /** Keeps other processes from the machine; taken while the container is removed. */
  readonly lock: () => Promise<AsyncDisposable>;
  /** Releases root, network and files of the container, and unregisters its machine. Idempotent. */
  readonly release: () => Promise<void>;
}

/** Follows a launch, and cancels its download. */
export interface LaunchWatch extends PullWatch {
  /** Called at the end of each stage. */
  readonly stage: (name: StartStage) => void;
  /** Called with a sentence about what the launch waits for, if it waits long. */
  readonly onSlow: (sentence: string) => void;
}
