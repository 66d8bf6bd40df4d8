/** The oldest systemd-nspawn the driver runs with: 249 brought --private-users-ownership= and identity mappings. */
export const MINIMUM_VERSION = 249;

/** The newest systemd the driver was made for and is tested with. */
export const NEWEST_VERSION = 262;

/** The versions of systemd that test hosts have: of Debian bookworm, trixie and sid. */
export const TESTED_VERSIONS = [252, 257, NEWEST_VERSION] as const;

/** What one version of systemd-nspawn can do beyond the oldest supported one. */
export interface Features {
  readonly version: number;
  /** Words allowed after the target of --bind= and --bind-ro=. */
  readonly bindOptions: readonly string[];
  /** `--setenv=NAME` takes the value from systemd-nspawn's own environment. */
  readonly setenvByName: boolean;
  /** volatile = "yes" and "state" work while the owners of the image's files are mapped. */
  readonly volatileMapped: boolean;
  /** System call groups a --system-call-filter= may not name, because this version does not know them. */
  readonly unknownSystemCallGroups: readonly string[];
  /** The switch that names the user of the command; the other one is refused, or warned of on the task's stderr. */
  readonly userSwitch: "--uid" | "--user";
  /**
   * `--restrict-address-families=` is known: without it this version says on the task's stderr that a later one will permit
   * no more than AF_INET, AF_INET6 and AF_UNIX, and a later one does.
   */
  readonly restrictAddressFamilies: boolean;
}

/**
 * Since which version, as in systemd's NEWS. What else is new and asks nothing of the driver: cgroup v1 is gone (258), and so is
 * NAT by iptables (259), for the driver limits and forwards by itself; `.mstack` images (260), `--forward-journal=` (261) and the
 * default of PrivateUsersOwnership= (262) are for those who ask for them, and the driver always says which ownership it wants.
 */
const SINCE = {
  uidSwitch: 261,
  restrictAddressFamilies: 261,
  setenvByName: 250,
  // systemd issue 34254, seen up to 256.
  volatileMapped: 257,
  bindOptions: { rbind: 0, norbind: 0, idmap: 250, noidmap: 250, rootidmap: 252, owneridmap: 256 },
  systemCallGroups: { "@sandbox": 254 },
} as const;

/** What systemd-nspawn of that version can do. */
export function featuresOf(version: number): Features {
  return {
    version,
    bindOptions: namesWhere(SINCE.bindOptions, (since) => version >= since),
    setenvByName: version >= SINCE.setenvByName,
    volatileMapped: version >= SINCE.volatileMapped,
    unknownSystemCallGroups: namesWhere(SINCE.systemCallGroups, (since) => version < since),
    userSwitch: version >= SINCE.uidSwitch ? "--uid" : "--user",
    restrictAddressFamilies: version >= SINCE.restrictAddressFamilies,
  };
}

/** The version that brought a bind option, for an error; undefined for one no version has. */
export function bindOptionSince(name: string): number | undefined {
  return Object.entries(SINCE.bindOptions).find(([known]) => known === name)?.[1];
}

/** The major version in the output of `systemd-nspawn --version`, such as 257; undefined where there is none. */
export function parseNspawnVersion(text: string): number | undefined {
  const match = /^systemd (\d+)\b/m.exec(text);
  return match === null ? undefined : Number(match[1]);
}

function namesWhere(table: Readonly<Record<string, number>>, holds: (since: number) => boolean): string[] {
  return Object.entries(table).flatMap(([name, since]) => (holds(since) ? [name] : []));
}
