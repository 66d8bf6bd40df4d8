import { availableParallelism } from "node:os";
import { settles } from "../lib/deadline";
import { Turns } from "../lib/turns";
import type { Container } from "../supervisor/supervisor";

/**
 * How many containers start at once for each CPU. A start takes some 70 ms of processor time, most of it in systemd-nspawn. Without a limit
 * all of 300 systemd-nspawns ran at once on two CPUs, and PID 1 got so little time that it did not respond for a minute (measured).
 */
const STARTS_PER_CPU = 16;

/** The most, on any number of CPUs: containers that start are not registered with systemd-machined yet (see shouldRegister()). */
const MOST_STARTS = 32;

/** After this time another container is started, although the program of this one does not run yet: its root may take minutes. */
const TURN_MS = 5_000;

/** The turns of containers that start. */
export function startTurns(): Turns {
  return new Turns(Math.min(STARTS_PER_CPU * availableParallelism(), MOST_STARTS));
}

/** Ends a container's turn when its program runs, or after five seconds. */
export function endTurnOnceStarted({ started }: Pick<Container, "started">, end: () => void): void {
  void settles(started, TURN_MS).then(end);
}
