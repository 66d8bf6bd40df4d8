import { isRecord } from "../../lib/objects";

/** Drivers whose jobs `validate` knows. */
export const FOREIGN_DRIVERS = ["docker", "podman", "exec", "raw_exec", "exec2", "containerd-driver", "java"] as const;

/** What to do with an option of another driver: what to write in its place, or why it is left out. */
export type Advice = { readonly write: string } | { readonly drop: string };

/** Makes advice of an option's value. */
type Adviser = Advice | ((value: unknown) => Advice | undefined);

const NO_DAEMON: Advice = { drop: "this driver has no daemon" };
const WINDOWS: Advice = { drop: "it is for Windows" };
const OWN_NAMESPACE: Advice = { drop: "each container has namespaces of its own" };
const CHECKS: Advice = { drop: "use a check block of Nomad's service" };
const SWAP: Advice = { drop: "tasks use no swap" };

/**
 * Options of other drivers that this one does not have under the same name. Those which it has mean the same: they are checked as its own
 * (config/task/aliases.ts).
 *
 * Sources: drivers/docker/config.go, drivers/exec/driver.go, drivers/rawexec/driver.go and drivers/java/driver.go of Nomad, config.go of
 * nomad-driver-podman, nomad-driver-exec2 and nomad-driver-containerd.
 */
const ADVICE: Readonly<Record<string, Adviser>> = {
  advertise_ipv6_address: { drop: 'services advertise the container\'s address with address_mode = "driver"' },
  arch: { drop: "the image for this client's architecture is chosen" },
  cgroup_v1_override: { drop: "use the plugin option slice" },
  cgroup_v2_override: { drop: "use the plugin option slice" },
  cgroupns: OWN_NAMESPACE,
  class: { write: 'command = ["java", "-cp", "CLASSPATH", "CLASS"]' },
  class_path: { write: 'command = ["java", "-cp", "CLASSPATH", "CLASS"]' },
  container_exists_attempts: NO_DAEMON,
  cpu_cfs_period: { write: 'properties = { CPUQuotaPeriodSec = "TIME" }, if allow_properties permits it' },
  cpuset_cpus: { write: "cores in the task's resources block" },
  healthchecks: CHECKS,
  host_dns: { drop: "the container gets the client's name servers by default; see resolv_conf" },
  host_network: (value) => (isTrue(value) ? { write: 'network = "host"' } : { drop: "false is the default" }),
  init_path: { write: "init = true: systemd-nspawn has an init of its own" },
  interactive: { drop: "tasks of Nomad have no input; use nomad alloc exec" },
  ipc_mode: OWN_NAMESPACE,
  isolation: WINDOWS,
  jar_path: { write: 'command = ["java", "-jar", "PATH"]' },
  jvm_options: { write: 'command = ["java", "OPTIONS", …]' },
  load: (value) => ({
    write: `image = "docker-archive:local/${typeof value === "string" ? value : "FILE"}", with an artifact block`,
  }),
  logging: (value) =>
    kindOf(value) === "journald"
      ? { write: 'log_driver = "journal"' }
      : { drop: "logs go to nomad alloc logs; see log_driver" },
  memory_hard_limit: (value) => ({ write: `memory_max = ${shown(value, "N")} in the task's resources block` }),
  memory_reservation: { write: "memory in the task's resources block" },
  memory_swap: SWAP,
  memory_swappiness: SWAP,
  network_aliases: { drop: "use extra_hosts, or a service of Nomad" },
  os: { drop: "images are for Linux" },
  pid_mode: OWN_NAMESPACE,
  runtime: NO_DAEMON,
  seccomp: { drop: "systemd-nspawn always has a filter; see system_call_filter" },
  seccomp_profile: { write: "system_call_filter" },
  security_opt: securityOptions,
  selinux_opts: { write: "selinux_context" },
  socket: NO_DAEMON,
  static_ips: { write: "ipv4_address or ipv6_address" },
  static_mac: (value) => ({ write: `mac_address = ${shown(value, '"MAC"')}` }),
  storage_opt: (value) => ({ write: `storage_limit = ${shown(sizeOf(value), '"SIZE"')}` }),
  tty: { drop: "tasks of Nomad have no terminal; use nomad alloc exec -t" },
  unveil: { drop: "the container sees its own root only; see bind and bind_read_only" },
  unveil_by_task: { drop: "the container sees its own root only; see bind and bind_read_only" },
  unveil_defaults: { drop: "the container sees its own root only; see bind and bind_read_only" },
  unveil_paths: { drop: "the container sees its own root only; see bind and bind_read_only" },
  userns: userNamespace,
  userns_mode: userNamespace,
  uts_mode: OWN_NAMESPACE,
  variant: { drop: "the image for this client's architecture is chosen" },
  volume_driver: { write: "volume_mount with a host or CSI volume" },
  windows_allow_insecure_container_admin: WINDOWS,
  working_dir: (value) => ({ write: `working_directory = ${shown(value, '"PATH"')}` }),
};

/** Options with a name of this driver and another form. */
const FORMS: Readonly<Record<string, (value: unknown) => Advice | undefined>> = { devices };

/** The names of all options that there is advice for. */
export const ADVISED: readonly string[] = Object.keys(ADVICE);

/**
 * What to do with an option of another driver.
 *
 * @param known whether this driver has an option of that name
 * @returns undefined if it is written the same way here
 */
export function adviceFor(name: string, value: unknown, known: boolean): Advice | undefined {
  if (known) return FORMS[name]?.(value);
  const adviser = Object.hasOwn(ADVICE, name) ? ADVICE[name] : undefined;
  if (adviser === undefined) return { drop: "this driver has no such option" };
  return typeof adviser === "function" ? adviser(value) : adviser;
}

function isTrue(value: unknown): boolean {
  return value === true || value === "true";
}

function shown(value: unknown, otherwise: string): string {
  return typeof value === "string" || typeof value === "number" ? JSON.stringify(value) : otherwise;
}

function sizeOf(value: unknown): unknown {
  const block = Array.isArray(value) ? value[0] : value;
  return isRecord(block) ? block["size"] : undefined;
}

/** The type of a logging block: podman calls it driver. */
function kindOf(value: unknown): unknown {
  const block = Array.isArray(value) ? value[0] : value;
  return isRecord(block) ? (block["type"] ?? block["driver"]) : undefined;
}

function userNamespace(value: unknown): Advice {
  return value === "host" ? { write: "user_namespacing = false" } : { drop: "a user namespace is the default" };
}

function securityOptions(value: unknown): Advice {
  const words = Array.isArray(value) ? value.map(String) : [];
  return words.some((word) => /^no-new-privileges(?:[:=]true)?$/.test(word))
    ? { write: "no_new_privileges = true" }
    : { write: "system_call_filter, drop_capability or no_new_privileges" };
}

/** Docker's blocks with host_path, container_path and cgroup_permissions; podman has texts, as this driver. */
function devices(value: unknown): Advice | undefined {
  if (!Array.isArray(value) || !value.every(isRecord)) return undefined;
  const texts = value.map((device) => {
    const { host_path: host, container_path: inside, cgroup_permissions: permissions } = device;
    const parts = [String(host ?? ""), String(inside ?? host ?? ""), String(permissions ?? "")];
    return parts[2] === "" ? (parts[1] === parts[0] ? parts[0] : parts.slice(0, 2).join(":")) : parts.join(":");
  });
  return { write: `devices = ${JSON.stringify(texts)}` };
}
