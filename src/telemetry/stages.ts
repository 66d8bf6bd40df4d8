/**
 * The stages of a task's start, in order; each begins when the one before ends. "host" waits for the fingerprint and for removals of the same
 * machine, "plan" checks the job, "image" fetches it, "root" and "network" make what the container gets, "files" writes its files,
 * "supervisor" starts systemd-nspawn, "attach" configures the link, "program" waits until the program runs, "address" for an address.
 */
export const START_STAGES = [
  "host",
  "plan",
  "image",
  "root",
  "network",
  "files",
  "supervisor",
  "attach",
  "program",
  "address",
] as const;

/** A stage of a start. */
export type StartStage = (typeof START_STAGES)[number];
