/** How far a download is. */
export interface Progress {
  /** Bytes; of a transfer that tells only a percentage undefined. */
  readonly received?: number;
  readonly total?: number | undefined;
  /** Where bytes are not known. */
  readonly percent?: number;
}

/** How far the download of a task's image is. */
export interface ImageProgress extends Progress {
  /** As the job names it. */
  readonly image: string;
}

/** Something to tell the users of a task. */
export interface ProgressNote {
  readonly message: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/**
 * The first note comes early, so that somebody who looks sees that something happens; later ones become rarer, for Nomad keeps the
 * last ten events of a task (task_runner.go, defaultMaxEvents).
 */
const FIRST_MS = 1000;
const LONGEST_MS = 60_000;
const MEBIBYTE = 1024 * 1024;

/**
 * Turns the progress of a download into few notes: after a second, then each time after twice as long as before, up to a minute. Pure: it is told
 * the time, in milliseconds of any clock.
 */
export class ProgressNotes {
  readonly #image: string;
  readonly #began: number;
  #next: number;
  #pause = FIRST_MS;
  #notes = 0;
  #last: { readonly at: number; readonly received: number };

  constructor(image: string, now: number) {
    this.#image = image;
    this.#began = now;
    this.#next = now + FIRST_MS;
    this.#last = { at: now, received: 0 };
  }

  /** What is to be told now; undefined mostly. */
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

  /** What is to be told at the end; undefined for a download that was over before anything was told. */
  finish({ received }: Progress, now: number): ProgressNote | undefined {
    if (this.#notes === 0) return undefined;
    const seconds = (now - this.#began) / 1000;
    const amount = received === undefined || received === 0 ? "" : ` ${size(received)}`;
    return {
      message: `Downloaded image ${this.#image}:${amount} in ${seconds.toFixed(1)} s`,
      annotations: {
        image: this.#image,
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
      message: `Downloading image ${this.#image}${text === "" ? "" : `: ${text}`}`,
      annotations: {
        image: this.#image,
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

/** Whole numbers, but for what would be less than ten. */
function mebibytes(bytes: number): string {
  const amount = bytes / MEBIBYTE;
  return amount < 10 ? amount.toFixed(1) : String(Math.round(amount));
}
