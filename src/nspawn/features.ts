/** The oldest supported systemd-nspawn: 249 introduced --private-users-ownership= and identity mappings. */
export const MINIMUM_VERSION = 249;

/** The newest systemd that the driver supports and is tested with. */
export const NEWEST_VERSION = 262;

/** The systemd versions of the test hosts: Debian bookworm, trixie and sid. */
export const TESTED_VERSIONS = [252, 257, NEWEST_VERSION] as const;

/** The features of a systemd-nspawn version that the oldest supported one lacks. */
export interface Features {
  readonly version: number;
  /** Options allowed after the target of --bind= and --bind-ro=. */
  readonly bindOptions: readonly string[];
  /** `--suppress-sync=` is known. */
  readonly suppressSync: boolean;
  /** `--setenv=NAME` takes the value from systemd-nspawn's own environment. */
  readonly setenvByName: boolean;
  /** volatile = "yes" and "state" work with mapped owners of the image's files. */
  readonly volatileMapped: boolean;
  /**
   * Directories that are created above a mount point in a tmpfs belong to the container's root. Otherwise they belong to a user that the
   * container's user namespace does not have, and its root cannot write to them.
   */
  readonly ownsMountParents: boolean;
  /** System call groups that this version does not know, so that --system-call-filter= must not contain them. */
  readonly unknownSystemCallGroups: readonly string[];
  /** The switch for the user of the command; the other one is rejected, or causes a warning on the task's stderr. */
  readonly userSwitch: "--uid" | "--user";
  /**
   * `--restrict-address-families=` is known: without it, this version warns on the task's stderr that a later one will permit
   * only AF_INET, AF_INET6 and AF_UNIX, and a later one does so.
   */
  readonly restrictAddressFamilies: boolean;
  /** `--image-policy=` is known. */
  readonly imagePolicy: boolean;
  /** `--mstack=` is known. */
  readonly mountStacks: boolean;
}

/**
 * The versions that introduced features, from systemd's NEWS. Other changes do not affect the driver: the removal of cgroup v1 (258)
 * and of NAT by iptables (259), because the driver limits and forwards itself; `--forward-journal=` (261), which is opt-in; and the default of PrivateUsersOwnership= (262), because the driver always sets the ownership.
 */
const SINCE = {
  uidSwitch: 261,
  restrictAddressFamilies: 261,
  setenvByName: 250,
  // Measured: not with 252, with 257; systemd-nspawn(1) says 254.
  imagePolicy: 254,
  mountStacks: 260,
  suppressSync: 250,
  // systemd issue 34254, observed up to 256.
  volatileMapped: 257,
  // Measured: not with 252, with 257.
  ownsMountParents: 257,
  bindOptions: { rbind: 0, norbind: 0, idmap: 250, noidmap: 250, rootidmap: 252, owneridmap: 256 },
  systemCallGroups: { "@sandbox": 254 },
} as const;

/** The features of a systemd-nspawn version. */
export function featuresOf(version: number): Features {
  return {
    version,
    bindOptions: namesWhere(SINCE.bindOptions, (since) => version >= since),
    suppressSync: version >= SINCE.suppressSync,
    setenvByName: version >= SINCE.setenvByName,
    volatileMapped: version >= SINCE.volatileMapped,
    ownsMountParents: version >= SINCE.ownsMountParents,
    unknownSystemCallGroups: namesWhere(SINCE.systemCallGroups, (since) => version < since),
    userSwitch: version >= SINCE.uidSwitch ? "--uid" : "--user",
    restrictAddressFamilies: version >= SINCE.restrictAddressFamilies,
    imagePolicy: version >= SINCE.imagePolicy,
    mountStacks: version >= SINCE.mountStacks,
  };
}

/** The version that introduced `--image-policy=`, for an error. */
export const IMAGE_POLICY_SINCE = SINCE.imagePolicy;

/** The version that introduced `--mstack=`, for an error. */
export const MOUNT_STACK_SINCE = SINCE.mountStacks;

/** The version that introduced a bind option, for an error; undefined for an unknown option. */
export function bindOptionSince(name: string): number | undefined {
  return Object.entries(SINCE.bindOptions).find(([known]) => known === name)?.[1];
}

/** The major version in the output of `systemd-nspawn --version`, such as 257; undefined if there is none. */
export function parseNspawnVersion(text: string): number | undefined {
  const match = /^systemd (\d+)\b/m.exec(text);
  return match === null ? undefined : Number(match[1]);
}

function namesWhere(table: Readonly<Record<string, number>>, holds: (since: number) => boolean): string[] {
  return Object.entries(table).flatMap(([name, since]) => (holds(since) ? [name] : []));
}
