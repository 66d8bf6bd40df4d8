import { closeSync } from "node:fs";
import { stat } from "node:fs/promises";
import { ConfigError } from "../lib/errors";
import { detachedMount, mapMountOwners, mountPoints } from "../linux/mount";
import { openUserNamespace } from "../linux/user-namespace";
import type { TaskMount } from "../nspawn/arguments";
import type { Features } from "../nspawn/features";
import { CONTAINER_IDS, type ContainerIds } from "../values/private-users";

/**
 * Owners of mounted files in a container with a user namespace.
 *
 * By default systemd-nspawn mounts files without mapping their owners: inside, all of them appear as owned by the user "nobody" (65534),
 * and the container's root can neither write files that are not world-writable nor read a secret of mode 0600. Files that it writes
 * belong to a picked user ID of the host, which the next allocation does not have. With ":idmap", ID N inside is ID N outside for this
 * mount, as without user namespaces. Measured with 252 and 257: systemd-nspawn fails if the file system does not support it (tmpfs
 * before Linux 6.3, NFS, overlayfs, devtmpfs: "Invalid argument"), if other mounts are below ("Device or resource busy"),
 * and if the container's IDs begin at the host's 0. So the driver checks that first, and leaves such a mount unmapped.
 */

/** A mount for which owner mapping is not decided yet. */
export interface MountRequest extends TaskMount {
  /** The job or the driver requests unmapped owners. */
  readonly keepOwners?: true;
  /** It only protects a directory of another mount: no note if its owners cannot be mapped. */
  readonly shield?: true;
}

/** Properties of a mount's source. */
export interface SourceFacts {
  readonly uid: number;
  readonly gid: number;
  /** Permission bits. */
  readonly mode: number;
  readonly device: boolean;
  /** Whether other things are mounted below it. */
  readonly mountsBelow: boolean;
  /** Whether the kernel and the file system support ID-mapping it. */
  readonly mappable: boolean;
}

/** How a mount's owners are handled: mapped, left unmapped, or left unmapped for a reason that is reported. */
export type MountOwnership = "map" | "leave" | { readonly because: string };

/** Options of --bind= that map owners, and the one that disables mapping. */
const MAPPING_OPTIONS: readonly string[] = ["idmap", "rootidmap", "owneridmap"];
const NO_MAPPING = "noidmap";

/** Decides on a mount for which the job sets no mapping option. */
export function mountOwnership(facts: SourceFacts, ids: ContainerIds, features: Features): MountOwnership {
  // The owner was chosen for this container's IDs on the host: with a mapping the container would lose access.
  if (ids.first !== undefined && facts.uid >= ids.first && facts.uid < ids.first + ids.count) return "leave";
  if (facts.uid >= ids.count || facts.gid >= ids.count) {
    return { because: `its owner ${facts.uid}:${facts.gid} is outside the container's range of ${ids.count} IDs` };
  }
  if (!features.bindOptions.includes("idmap")) return { because: "this client's systemd-nspawn is older than 250" };
  const because = unmappable(facts);
  return because === undefined ? "map" : { because };
}

function unmappable(facts: SourceFacts): string | undefined {
  if (facts.mountsBelow) return "other things are mounted below it";
  return facts.mappable ? undefined : "the kernel or the file system does not support it";
}

/**
 * Maps the owners of mounts for a container, where that is possible; `notes` are about the others.
 *
 * @throws ConfigError for a mount that the container could not use at all, or for which a requested mapping is not possible
 */
export async function mapOwners(
  requests: readonly MountRequest[],
  ids: ContainerIds | undefined,
  features: Features,
): Promise<{ readonly mounts: readonly TaskMount[]; readonly notes: readonly string[] }> {
  const notes: string[] = [];
  const points = ids === undefined ? [] : mountPoints();
  const namespace = ids === undefined ? undefined : await trialNamespace();
  const mounts: TaskMount[] = [];
  for (const { keepOwners, shield, ...mount } of requests) {
    const { options = [], source, target } = mount;
    const asked = options.find((word) => MAPPING_OPTIONS.includes(word));
    if (asked !== undefined && ids === undefined) {
      throw new ConfigError(
        `The mount option ${JSON.stringify(asked)} at ${JSON.stringify(target)} needs user namespaces: set user_namespacing = true, and private_users to other than "no", "identity" and 0.`,
      );
    }
    if (ids === undefined || options.includes(NO_MAPPING) || (keepOwners === true && asked === undefined)) {
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
    const plan = mountOwnership(facts, ids, features);
    mounts.push(plan === "map" ? { ...mount, options: [...options, "idmap"] } : mount);
    if (typeof plan === "string" || shield === true) continue;
    // IDs that the job chooses may have access by other means, such as an access control list.
    if (ids.first === undefined && (facts.device || (facts.mode & 0o7) === 0)) {
      throw new ConfigError(unusable(mount, facts, plan.because));
    }
    notes.push(
      `Files at ${target} will appear as owned by nobody (65534) in the container, because their owners cannot be mapped: ${plan.because}.`,
    );
  }
  return { mounts, notes };
}

function unusable({ source, target }: TaskMount, { uid, gid, mode }: SourceFacts, because: string): string {
  return (
    `The container could not use ${source} at ${target}: on the host it is owned by ${uid}:${gid} with mode 0${mode.toString(8)}, ` +
    `and its owner cannot be mapped into the container's user namespace, because ${because}. ` +
    "Grant other users access on the host, or set user_namespacing = false."
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

let trial: Promise<number | undefined> | undefined;

/**
 * A user namespace to try a mapping with; undefined if the host cannot create one. It is made once and kept as long as this process runs,
 * because making one takes a process; if it cannot be made, the next task tries again.
 */
function trialNamespace(): Promise<number | undefined> {
  trial ??= openUserNamespace(CONTAINER_IDS.count, CONTAINER_IDS.count).then(
    (namespace) => {
      if (namespace === undefined) trial = undefined;
      return namespace;
    },
    (error: unknown) => {
      trial = undefined;
      throw error;
    },
  );
  return trial;
}

/** Tries it on a detached copy of the mount. */
function isMappable(source: string, namespace: number): boolean {
  const copy = detachedMount(source);
  if (copy === undefined) return false;
  using open = new DisposableStack();
  return mapMountOwners(open.adopt(copy, closeSync), namespace);
}
