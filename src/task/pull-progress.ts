import type { Progress } from "../image/source";

/** A progress report, for a task event. */
export interface ProgressNote {
  readonly message: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/**
 * The first note comes early, so that an operator sees that the download is running; later ones become rarer, because Nomad keeps
 * only the last ten events of a task (task_runner.go, defaultMaxEvents).
 */
const FIRST_MS = 1000;
const LONGEST_MS = 60_000;
const MEBIBYTE = 1024 * 1024;

/**
 * Turns the progress of a download into few notes: the first after a second, then with intervals that double up to a minute. Pure: the
 * caller passes the time, in milliseconds of any clock.
 */
export class ProgressNotes {
  readonly #began: number;
  #next: number;
  #pause = FIRST_MS;
  #notes = 0;
  #last: { readonly at: number; readonly received: number };

  constructor(
    private readonly image: string,
    now: number,
  ) {
    this.#began = now;
    this.#next = now + FIRST_MS;
    this.#last = { at: now, received: 0 };
  }

  /** The note that is due now; mostly undefined. */
  update(progress: Progress, now: number): ProgressNote | undefined {
    if (now < this.#next) return undefined;
    this.#notes += 1;
    this.#pause = Math.min(this.#pause * 2, LONGEST_MS);
    this.#next = now + this.#pause;
    const received = progress.received ?? 0;
    const rate = Math.max(0, (received - this.#last.received) / ((now - this.#last.at) / 1000));
    this.#last = { at: now, received };
    return this.#note(progress, rate);
  }

  /** The final note; undefined if the download finished before the first note. */
  finish({ received }: Progress, now: number): ProgressNote | undefined {
    if (this.#notes === 0) return undefined;
    const seconds = (now - this.#began) / 1000;
    const amount = received === undefined || received === 0 ? "" : ` ${size(received)}`;
    return {
      message: `Downloaded image ${this.image}:${amount} in ${seconds.toFixed(1)} s`,
      annotations: {
        image: this.image,
        ...(received === undefined ? {} : { bytes: String(received) }),
        seconds: seconds.toFixed(1),
      },
    };
  }

  #note({ received, total, percent }: Progress, rate: number): ProgressNote {
    const part =
      percent ?? (received !== undefined && total !== undefined && total > 0 ? (received / total) * 100 : undefined);
    const shown = part === undefined ? undefined : Math.min(100, Math.floor(part));
    const speed = `${(rate / MEBIBYTE).toFixed(1)} MiB/s`;
    const amount =
      received === undefined
        ? ""
        : total === undefined
          ? `${size(received)}, ${speed}`
          : `${mebibytes(received)} of ${size(total)}, ${speed}`;
    const text = shown === undefined ? amount : amount === "" ? `${shown} %` : `${shown} % (${amount})`;
    return {
      message: `Downloading image ${this.image}${text === "" ? "" : `: ${text}`}`,
      annotations: {
        image: this.image,
        ...(shown === undefined ? {} : { percent: String(shown) }),
        ...(received === undefined ? {} : { bytes: String(received), rate: String(Math.round(rate)) }),
        ...(total === undefined ? {} : { total: String(total) }),
      },
    };
  }
}

function size(bytes: number): string {
  return `${mebibytes(bytes)} MiB`;
}

/** Rounded to whole numbers, except below ten. */
function mebibytes(bytes: number): string {
  const amount = bytes / MEBIBYTE;
  return amount < 10 ? amount.toFixed(1) : String(Math.round(amount));
}
