import { createHash } from "node:crypto";

/** The IDs that systemd reserves for containers, and how many each gets (nspawn.c, uid-range.h: CONTAINER_UID_BASE_MIN, …_MAX). */
export const CONTAINER_IDS = { first: 524_288, last: 1_878_982_656, count: 65_536 } as const;

/** How many ranges to try; systemd-nspawn tries a hundred. */
const TRIES = 1000;

/**
 * The ranges of user IDs to try for a container, by their first IDs, in order: if it is started again it gets the same, if they are free,
 * as with systemd-nspawn itself.
 */
export function* candidateRanges(machine: string): Generator<number> {
  const ranges = (CONTAINER_IDS.last - CONTAINER_IDS.first) / CONTAINER_IDS.count + 1;
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const hash = createHash("sha256").update(`${machine}\0${attempt}`).digest();
    yield CONTAINER_IDS.first + (hash.readUInt32LE(0) % ranges) * CONTAINER_IDS.count;
  }
}

/** The two options that determine the user IDs of a container. */
interface PrivateUsers {
  readonly user_namespacing: boolean;
  /** Absent: "pick". */
  readonly private_users?: string | undefined;
}

/** True if the container runs in a user namespace with its own user IDs. */
export function namespaced(options: PrivateUsers): boolean {
  return options.user_namespacing && options.private_users !== "no";
}

/** The user IDs of a container's user namespace. */
export interface ContainerIds {
  /** Number of IDs; inside they are 0 to count - 1. */
  readonly count: number;
  /** The host's ID of the container's ID 0; undefined if systemd-nspawn picks it. */
  readonly first: number | undefined;
}

/** The IDs of the container's user namespace; undefined if it uses the host's IDs. */
export function containerIds(options: PrivateUsers): ContainerIds | undefined {
  const { private_users: users = "pick" } = options;
  if (!namespaced(options) || users === "identity") return undefined;
  const [, first, count] = /^(\d+)(?::(\d+))?$/.exec(users) ?? [];
  if (first === undefined) return { count: CONTAINER_IDS.count, first: undefined };
  return Number(first) === 0 ? undefined : { count: Number(count ?? CONTAINER_IDS.count), first: Number(first) };
}
