import { closeSync } from "node:fs";
import { stat } from "node:fs/promises";
import { namespaced } from "../config/combinations";
import { ConfigError } from "../config/config-error";
import type { TaskOptions } from "../config/options";
import { openUserNamespace } from "../exec/user-namespace";
import { detachedMount, mapMountOwners } from "../host/libc";
import { readMounts } from "../host/mounts";
import type { TaskMount } from "../nspawn/arguments";
import type { Features } from "../nspawn/features";

/**
 * Owners of mounted files where a container has user IDs of its own.
 *
 * Without further ado systemd-nspawn mounts them as they are: all of them belong to nobody inside, and the container's root
 * can neither write what is not everybody's nor read a secret of mode 0600. What it writes belongs to a picked user ID of the
 * host, that the next allocation does not have. With ":idmap" ID N inside is ID N outside for this one mount, as it is
 * without user namespaces. Measured with 252 and 257: systemd-nspawn ends with an error where the file system cannot (tmpfs
 * before Linux 6.3, NFS, overlayfs, devtmpfs: "Invalid argument"), where other mounts lie below ("Device or resource busy"),
 * and where the container's IDs begin at the host's 0. So that is found out before, and such a mount stays as it is.
 */

/** The user IDs that are a container's own. */
export interface ContainerIds {
  /** How many; they are 0 to count - 1 inside. */
  readonly count: number;
  /** What its 0 is outside; undefined where systemd-nspawn picks it. */
  readonly first: number | undefined;
}

/** systemd-nspawn's own number of IDs (nspawn.c, UID_SHIFT_PICK and arg_uid_range). */
const usualCount = 0x1_0000;

/** The IDs that are the container's own; undefined where they are the host's. */
export function containerIds(
  options: Pick<TaskOptions, "user_namespacing" | "private_users">,
): ContainerIds | undefined {
  const { private_users: users = "pick" } = options;
  if (!namespaced(options) || users === "identity") return undefined;
  const [, first, count] = /^(\d+)(?::(\d+))?$/.exec(users) ?? [];
  if (first === undefined) return { count: usualCount, first: undefined };
  return Number(first) === 0 ? undefined : { count: Number(count ?? usualCount), first: Number(first) };
}

/** A mount whose owners are still to be decided on. */
export interface MountRequest extends TaskMount {
  /** The job or the driver wants them as they are. */
  readonly keepOwners?: true;
  /** It only protects what the container has by another mount: that its owners cannot be mapped is nothing to be said. */
  readonly shield?: true;
}

/** What is to be known of a mount's source. */
export interface SourceFacts {
  readonly uid: number;
  readonly gid: number;
  /** Permission bits. */
  readonly mode: number;
  readonly device: boolean;
  /** Whether other things are mounted below it. */
  readonly mountsBelow: boolean;
  /** Whether kernel and file system can map its owners. */
  readonly mappable: boolean;
}

/** What becomes of a mount's owners: mapped, left as they are, or left although that is a pity. */
export type OwnerPlan = "map" | "leave" | { readonly because: string };

/** Words of --bind= that map owners, and the one that forbids it. */
const mappingWords: readonly string[] = ["idmap", "rootidmap", "owneridmap"];
const noMapping = "noidmap";

/** Decides on a mount for which nobody said how. */
export function ownerPlan(facts: SourceFacts, ids: ContainerIds, features: Features): OwnerPlan {
  // Somebody gave it to the container's IDs as they are outside: a mapping would take it away.
  if (ids.first !== undefined && facts.uid >= ids.first && facts.uid < ids.first + ids.count) return "leave";
  if (facts.uid >= ids.count || facts.gid >= ids.count) {
    return { because: `its owner ${facts.uid}:${facts.gid} is none of the container's ${ids.count} IDs` };
  }
  if (!features.bindOptions.includes("idmap")) return { because: "this client's systemd-nspawn is older than 250" };
  const because = unmappable(facts);
  return because === undefined ? "map" : { because };
}

function unmappable(facts: SourceFacts): string | undefined {
  if (facts.mountsBelow) return "other things are mounted below it";
  return facts.mappable ? undefined : "kernel or file system cannot do it";
}

/** Mounts with their owners mapped where that is possible, and sentences about the others. */
export interface MappedMounts {
  readonly mounts: readonly TaskMount[];
  readonly notes: readonly string[];
}

/**
 * Maps the owners of mounts for a container.
 *
 * @throws ConfigError for a mount that nothing in the container could use, or that the job wants mapped and cannot be
 */
export async function mapOwners(
  requests: readonly MountRequest[],
  ids: ContainerIds | undefined,
  features: Features,
): Promise<MappedMounts> {
  const notes: string[] = [];
  const points = ids === undefined ? [] : readMounts().map(({ path }) => path);
  const namespace = ids === undefined ? undefined : await openUserNamespace(usualCount, usualCount);
  try {
    const mounts: TaskMount[] = [];
    for (const { keepOwners, shield, ...mount } of requests) {
      const { options = [], source, target } = mount;
      const asked = options.find((word) => mappingWords.includes(word));
      if (asked !== undefined && ids === undefined) {
        throw new ConfigError(
          `The mount option ${JSON.stringify(asked)} at ${JSON.stringify(target)} needs a container with user IDs of its own: set user_namespacing = true, and private_users to other than "no", "identity" and 0.`,
        );
      }
      if (ids === undefined || options.includes(noMapping) || (keepOwners === true && asked === undefined)) {
        mounts.push(mount);
        continue;
      }
      const facts = await sourceFacts(source, namespace, options.includes("norbind") ? [] : points);
      if (asked !== undefined) {
        const because = unmappable(facts);
        if (because !== undefined) {
          throw new ConfigError(
            `The mount option ${JSON.stringify(asked)} is not possible for ${source} at ${target}: ${because}.`,
          );
        }
        mounts.push(mount);
        continue;
      }
      const plan = ownerPlan(facts, ids, features);
      mounts.push(plan === "map" ? { ...mount, options: [...options, "idmap"] } : mount);
      if (typeof plan === "string" || shield === true) continue;
      // IDs that the job chooses may have been given access otherwise, by an access control list for example.
      if (ids.first === undefined && (facts.device || (facts.mode & 0o7) === 0)) {
        throw new ConfigError(unusable(mount, facts, plan.because));
      }
      notes.push(
        `What is mounted at ${target} belongs to nobody in the container, because its owners cannot be mapped: ${plan.because}.`,
      );
    }
    return { mounts, notes };
  } finally {
    if (namespace !== undefined) closeSync(namespace);
  }
}

function unusable({ source, target }: TaskMount, { uid, gid, mode }: SourceFacts, because: string): string {
  return (
    `The container could not use ${source} at ${target}: on the host it belongs to ${uid}:${gid} with mode 0${mode.toString(8)}, ` +
    `and the container has user IDs of its own, to which owners cannot be mapped here, because ${because}. ` +
    "Give others access on the host, or set user_namespacing = false."
  );
}

async function sourceFacts(
  source: string,
  namespace: number | undefined,
  points: readonly string[],
): Promise<SourceFacts> {
  const stats = await stat(source);
  const below = source === "/" ? source : `${source}/`;
  return {
    uid: stats.uid,
    gid: stats.gid,
    mode: stats.mode & 0o7777,
    device: stats.isCharacterDevice() || stats.isBlockDevice(),
    mountsBelow: points.some((path) => path !== source && path.startsWith(below)),
    mappable: namespace !== undefined && isMappable(source, namespace),
  };
}

/** Tries it on a copy of the mount that nobody sees. */
function isMappable(source: string, namespace: number): boolean {
  const copy = detachedMount(source);
  if (copy === undefined) return false;
  try {
    return mapMountOwners(copy, namespace);
  } finally {
    closeSync(copy);
  }
}
