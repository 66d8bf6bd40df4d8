import { createHash } from "node:crypto";

/** The IDs that systemd reserves for containers, and how many each gets (nspawn.c, uid-range.h: CONTAINER_UID_BASE_MIN, …_MAX). */
export const CONTAINER_IDS = { first: 524_288, last: 1_878_982_656, count: 65_536 } as const;

/** How many ranges to try; systemd-nspawn tries a hundred. */
const TRIES = 1000;

/**
 * Chooses user IDs for a container: if it is started again it gets the same, if they are free, as with systemd-nspawn itself.
 *
 * @param taken whether a range that begins there is in use
 * @returns the first ID; undefined if no free range was found
 */
export function chooseRange(machine: string, taken: (first: number) => boolean): number | undefined {
  const ranges = (CONTAINER_IDS.last - CONTAINER_IDS.first) / CONTAINER_IDS.count + 1;
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const hash = createHash("sha256").update(`${machine}\0${attempt}`).digest();
    const first = CONTAINER_IDS.first + (hash.readUInt32LE(0) % ranges) * CONTAINER_IDS.count;
    if (!taken(first)) return first;
  }
  return undefined;
}
