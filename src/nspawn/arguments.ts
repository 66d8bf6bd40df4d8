import type { OverlayMount, TmpfsMount } from "../config/mounts";
import type { OptionTable } from "../config/option";
import { type TaskOptions, taskOptions } from "../config/task/options";
import { NETWORK_DIRECTORY } from "../systemd/networkd";
import { namespaced } from "../values/private-users";
import type { Features } from "./features";
import { imagePolicy } from "./image-policy";
import { MACHINE_ID_PATH, type MachineId } from "./machine-id";

/** A host path that the driver mounts into the container: a task directory or a volume. */
export interface TaskMount {
  /** Absolute path on the host. */
  readonly source: string;
  /** Absolute path in the container. */
  readonly target: string;
  readonly readOnly: boolean;
  /** Nomad's propagation_mode; systemd-nspawn always propagates the host's later mounts and never the container's. */
  readonly propagation?: "private" | "host-to-task" | "bidirectional";
  /** Options of --bind=, such as "idmap". */
  readonly options?: readonly string[];
}

/** What a container's root is for systemd-nspawn, which is also the name of the switch for it; "mstack": systemd.mstack(7). */
export type RootKind = "directory" | "image" | "mstack";

/** The input of the argument vector; paths are resolved, and nothing in it is secret. */
export interface NspawnInput {
  /** With the sources of overlays resolved to absolute paths; binds and devices are among `mounts`. */
  readonly options: TaskOptions;
  readonly features: Features;
  /** See machineName(). */
  readonly machine: string;
  readonly image: { readonly kind: RootKind; readonly path: string };
  readonly mounts: readonly TaskMount[];
  /** File to mount as /etc/resolv.conf instead of the option's: from Nomad's dns block, or with the host's servers. */
  readonly resolvConf?: string;
  /** Value of --resolv-conf= if the config has none. */
  readonly resolvConfMode?: string;
  /** Name of the signal that PID 1 of the container gets if systemd-nspawn gets SIGTERM; absent: see --kill-signal= of systemd-nspawn(1). */
  readonly killSignal?: string;
  /** Whether to register with systemd-machined. */
  readonly register: boolean;
  /** "config": from the options. "joined": systemd-nspawn runs in the group's network namespace, and the container shares it. */
  readonly network: "config" | "joined";
  /** Host name of the group's network, used if the config has none. */
  readonly groupHostname?: string;
  /** File to mount as /etc/hosts. */
  readonly hosts?: string;
  /** File to mount where systemd-networkd in the container reads it, and that path. */
  readonly networkd?: { readonly file: string; readonly path: string };
  /** Absent: what the image says. */
  readonly machineId?: MachineId | undefined;
  /** Units of the container's systemd that must not start, and an empty file, which masks them. */
  readonly masked?: { readonly file: string; readonly units: readonly string[] };
  /** Files with the contents of credentials, by name. */
  readonly credentials?: Readonly<Record<string, string>>;
  /** `arguments` of taskEnvironment(). */
  readonly environment: readonly string[];
}

/**
 * The arguments of systemd-nspawn, without the program itself. Every value is attached to its switch with "=", so that
 * none can be parsed as a switch, and the command follows "--". Pure: launch/supported.ts refuses what systemd-nspawn does not support.
 */
export function nspawnArguments(input: NspawnInput): string[] {
  const { options, features } = input;
  return [
    "--quiet",
    "--keep-unit",
    `--register=${input.register ? "yes" : "no"}`,
    `--machine=${input.machine}`,
    `--${input.image.kind}=${input.image.path}`,
    ...(options.boot ? ["--boot"] : options.process_two ? ["--as-pid2"] : []),
    ...(input.killSignal === undefined ? [] : [`--kill-signal=${input.killSignal}`]),
    `--console=${options.console ?? (options.boot ? "read-only" : "pipe")}`,
    ...rowSwitches(options),
    ...impliedPolicy(options, features),
    ...(options.user === undefined ? [] : [`${features.userSwitch}=${options.user}`]),
    ...ambientSwitches(options),
    ...addressFamilySwitches(options, features),
    ...userNamespaceSwitches(options),
    ...networkSwitches(options, input.network),
    ...(options.hostname === undefined && input.groupHostname !== undefined
      ? [`--hostname=${input.groupHostname}`]
      : []),
    ...resolvConfSwitches(input),
    ...(input.hosts === undefined ? [] : [bindSwitch("bind-ro", input.hosts, "/etc/hosts", [])]),
    ...machineIdSwitches(input.machineId),
    ...runSystemdSwitches(input),
    ...mountSwitches(input),
    ...Object.entries(input.credentials ?? {}).map(([name, path]) => `--load-credential=${name}:${path}`),
    ...input.environment,
    ...(options.command.length === 0 ? [] : ["--", ...options.command]),
  ];
}

/** That of the job is an option's row. */
function impliedPolicy(options: TaskOptions, features: Features): string[] {
  const policy = options.image_policy === undefined ? imagePolicy(options, features) : undefined;
  return policy === undefined ? [] : [`--image-policy=${policy}`];
}

/** The switches that an option's row makes from its value. */
function rowSwitches(options: TaskOptions): string[] {
  const table: OptionTable = taskOptions;
  return Object.entries(options).flatMap(([name, value]) =>
    value === undefined ? [] : [...(table[name]?.switches?.(value) ?? [])],
  );
}

/** The equivalent of -U, with its two parts modified by the options. */
function userNamespaceSwitches(options: TaskOptions): string[] {
  if (!namespaced(options)) return ["--private-users=no"];
  return [`--private-users=${options.private_users ?? "pick"}`, `--private-users-ownership=${ownership(options)}`];
}

/** "auto" maps the owners if possible, but with --pivot-root= that fails in systemd-nspawn 249 to 258. */
function ownership({ private_users_ownership: asked, pivot_root }: TaskOptions): string {
  return asked === undefined || asked === "auto" ? (pivot_root === undefined ? "auto" : "chown") : asked;
}

function ambientSwitches({ ambient_capability: names }: TaskOptions): string[] {
  return names.length === 0 ? [] : [`--ambient-capability=${names.join(",")}`];
}

/** Earlier versions leave it to the program that starts the payload (launch/payload-restrictions.ts). */
function addressFamilySwitches({ restrict_address_families: names }: TaskOptions, features: Features): string[] {
  if (!features.restrictAddressFamilies) return [];
  // Explicitly no restriction: the container may use the address families that it could use with earlier versions.
  if (names.length === 0) return ["--restrict-address-families="];
  const denied = names.some((name) => name.startsWith("~"));
  const list = names.map((name) => name.replace(/^~/, "")).join(" ");
  return [`--restrict-address-families=${denied ? "~" : ""}${list}`, "--system-call-filter=~io_uring_setup"];
}

function networkSwitches(options: TaskOptions, network: NspawnInput["network"]): string[] {
  if (network === "joined") return [];
  const { network_veth: veth, network_bridge: bridge, network_zone: zone, network_interface: moved } = options;
  const { kind, name } = options.network ?? {};
  return [
    ...(kind === "none" ? ["--private-network"] : []),
    ...(kind === "macvlan" || kind === "ipvlan" ? [`--network-${kind}=${name}`] : []),
    ...moved.map((each) => `--network-interface=${each}`),
    ...(veth ? ["--network-veth"] : []),
    ...(bridge === undefined ? [] : [`--network-bridge=${bridge}`]),
    ...(zone === undefined ? [] : [`--network-zone=${zone}`]),
  ];
}

function resolvConfSwitches({ options, resolvConf: file, resolvConfMode }: NspawnInput): string[] {
  if (file !== undefined) return ["--resolv-conf=off", bindSwitch("bind-ro", file, "/etc/resolv.conf", [])];
  const mode = options.resolv_conf ?? resolvConfMode;
  return mode === undefined ? [] : [`--resolv-conf=${mode}`];
}

/** Limits of the tmpfs that systemd-nspawn mounts on /run (mountpoint-util.h, TMPFS_LIMITS_RUN). */
const RUN_TMPFS = "mode=0755,size=20%,nr_inodes=800k";

function machineIdSwitches(machineId: MachineId | undefined): string[] {
  if (machineId === undefined) return [];
  const { id, file } = machineId;
  return [`--uuid=${id}`, ...(file === undefined ? [] : [bindSwitch("bind-ro", file, MACHINE_ID_PATH, [])])];
}

/** Where systemd looks for units that exist until a reboot (systemd.unit(5)); those of the image in /etc take precedence. */
const RUNTIME_UNITS = "/run/systemd/system";

/** Files below /run/systemd. systemd in the container writes to the directories above them, so these must belong to it. */
function runSystemdSwitches({ networkd, masked, options, features }: NspawnInput): string[] {
  const units = masked?.units ?? [];
  const directories = [
    ...(networkd === undefined ? [] : [NETWORK_DIRECTORY]),
    ...(units.length === 0 ? [] : [RUNTIME_UNITS]),
  ];
  const shift = namespaced(options) && !features.ownsMountParents && directories.length > 0;
  return [
    ...(shift ? ["/run/systemd", ...directories] : []).map((target) => tmpfsSwitch({ target, options: RUN_TMPFS })),
    ...(networkd === undefined ? [] : [bindSwitch("bind-ro", networkd.file, networkd.path, [])]),
    ...units.map((unit) => bindSwitch("bind-ro", masked?.file ?? "", `${RUNTIME_UNITS}/${unit}`, [])),
  ];
}

function mountSwitches({ options, mounts }: NspawnInput): string[] {
  return [
    ...mounts.map(({ source, target, readOnly, options: words = [] }) =>
      bindSwitch(readOnly ? "bind-ro" : "bind", source, target, words),
    ),
    ...options.tmpfs.map(tmpfsSwitch),
    ...options.overlay.map(overlaySwitch),
  ];
}

function bindSwitch(kind: "bind" | "bind-ro", source: string, target: string, options: readonly string[]): string {
  const end = options.length === 0 ? "" : `:${options.join(",")}`;
  return `--${kind}=${escapeColons(source)}:${escapeColons(target)}${end}`;
}

function tmpfsSwitch({ target, options }: TmpfsMount): string {
  return `--tmpfs=${escapeColons(target)}${options === "" ? "" : `:${options}`}`;
}

function overlaySwitch({ lower, upper, target }: OverlayMount): string {
  // An empty upper layer is a temporary directory of systemd-nspawn's.
  return `--overlay=${[...lower, upper ?? "", target].map(escapeColons).join(":")}`;
}

/**
 * Escapes for extract_first_word() of systemd without its unescape flags: a backslash makes the next character literal;
 * quotes and commas are not special.
 */
function escapeColons(path: string): string {
  return path.replace(/[\\:]/g, "\\$&");
}
