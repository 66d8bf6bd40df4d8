/** A process's privileges, from /proc/PID/status (proc_pid_status(5)). */
export interface ProcessRights {
  /** Capabilities as bit masks. */
  readonly bounding: bigint;
  readonly inheritable: bigint;
  readonly permitted: bigint;
  readonly noNewPrivileges: boolean;
  /** How many system call filters it has. */
  readonly filters: number;
}

/**
 * Reads a status file.
 *
 * @throws Error if it is not one
 */
export function parseRights(status: string): ProcessRights {
  const field = (name: string): string | undefined => new RegExp(`^${name}:\\s*(\\S+)$`, "m").exec(status)?.[1];
  const mask = (name: string): bigint => {
    const value = field(name);
    if (value === undefined) throw new Error(`/proc/PID/status has no ${name}.`);
    return BigInt(`0x${value}`);
  };
  return {
    bounding: mask("CapBnd"),
    inheritable: mask("CapInh"),
    permitted: mask("CapPrm"),
    noNewPrivileges: field("NoNewPrivs") === "1",
    // Linux before 5.9 reports only whether filters exist.
    filters: Number(field("Seccomp_filters") ?? (field("Seccomp") === "2" ? 1 : 0)),
  };
}

/** The host's ID for an ID in a user namespace, by its uid_map or gid_map; undefined if it is not mapped. */
export function hostId(map: string, id: number): number | undefined {
  for (const line of map.split("\n")) {
    const [inside, outside, count] = line.trim().split(/\s+/).map(Number);
    if (inside === undefined || outside === undefined || count === undefined) continue;
    if (id >= inside && id < inside + count) return outside + id - inside;
  }
  return undefined;
}
