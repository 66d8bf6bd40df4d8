export interface Progress {
  /** Bytes; undefined for a transfer that reports only a percentage. */
  readonly received?: number;
  readonly total?: number | undefined;
  /** Used if bytes are not known. */
  readonly percent?: number;
}

/** The progress of a task's image download. */
export interface ImageProgress extends Progress {
  /** The name as in the job. */
  readonly image: string;
}
