import { type OverlayMount, overlaySourceProblem, splitBindTarget, type TmpfsMount } from "../config/mounts";
import type { OptionTable } from "../config/option";
import { type TaskOptions, taskOptions } from "../config/task/options";
import { ConfigError } from "../lib/errors";
import { dropInPath } from "../systemd/networkd";
import { userNameProblem } from "../values/names";
import { namespaced } from "../values/private-users";
import { bindOptionSince, type Features } from "./features";

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

/** The input of the argument vector; paths are resolved, and nothing in it is secret. */
export interface NspawnInput {
  /** The sources of bind, bind_read_only and overlay are resolved to absolute paths. */
  readonly options: TaskOptions;
  readonly features: Features;
  /** See machineName(). */
  readonly machine: string;
  /** Machine ID for an image without one: 32 hexadecimal digits, or a UUID. */
  readonly uuid?: string;
  readonly image: { readonly kind: "directory" | "image"; readonly path: string };
  readonly mounts: readonly TaskMount[];
  /** File to mount as /etc/resolv.conf instead of the option's: from Nomad's dns block, or with the host's servers. */
  readonly resolvConf?: string;
  /** Value of --resolv-conf= if the config has none. */
  readonly resolvConfMode?: string;
  /** The task's own `user`, used if the config has none. */
  readonly taskUser?: string;
  /** Whether to register with systemd-machined. */
  readonly register: boolean;
  /** "config": from the options. "joined": systemd-nspawn runs in the group's network namespace, and the container shares it. */
  readonly network: "config" | "joined";
  /** Host name of the group's network, used if the config has none. */
  readonly groupHostname?: string;
  /** File to mount as /etc/hosts. */
  readonly hosts?: string;
  /** File to mount where systemd-networkd in the container reads it. */
  readonly networkd?: string;
  /** `arguments` of taskEnvironment(). */
  readonly environment: readonly string[];
}

/**
 * The arguments of systemd-nspawn, without the program itself. Every value is attached to its switch with "=", so that
 * none can be parsed as a switch, and the command follows "--".
 *
 * @throws ConfigError if this host's systemd-nspawn does not support what is requested
 */
export function nspawnArguments(input: NspawnInput): string[] {
  const { options, features } = input;
  refuseUnknownGroups(options, features);
  rejectVolatileMapped(options, features);
  return [
    "--quiet",
    "--keep-unit",
    `--register=${input.register ? "yes" : "no"}`,
    `--machine=${input.machine}`,
    ...(input.uuid === undefined ? [] : [`--uuid=${input.uuid}`]),
    `--${input.image.kind}=${input.image.path}`,
    ...(options.boot ? ["--boot"] : options.process_two ? ["--as-pid2"] : []),
    `--console=${options.console ?? (options.boot ? "read-only" : "pipe")}`,
    ...rowSwitches(options),
    ...userSwitches(input),
    // Explicitly no restriction: the container may use the address families that it could use with earlier versions.
    ...(features.restrictAddressFamilies ? ["--restrict-address-families="] : []),
    ...userNamespaceSwitches(options),
    ...networkSwitches(options, input.network),
    ...(options.hostname === undefined && input.groupHostname !== undefined
      ? [`--hostname=${input.groupHostname}`]
      : []),
    ...resolvConfSwitches(input),
    ...(input.hosts === undefined ? [] : [bindSwitch("bind-ro", input.hosts, "/etc/hosts", [])]),
    ...(input.networkd === undefined ? [] : [bindSwitch("bind-ro", input.networkd, dropInPath, [])]),
    ...mountSwitches(input),
    ...input.environment,
    ...(options.command.length === 0 ? [] : ["--", ...options.command]),
  ];
}

/** The switches that an option's row makes from its value. */
function rowSwitches(options: TaskOptions): string[] {
  const table: OptionTable = taskOptions;
  return Object.entries(options).flatMap(([name, value]) =>
    value === undefined ? [] : [...(table[name]?.switches?.(value) ?? [])],
  );
}

function userSwitches({ options, taskUser, features }: NspawnInput): string[] {
  const user = options.user ?? (taskUser === "" ? undefined : taskUser);
  if (user === undefined) return [];
  const problem = userNameProblem(user);
  if (problem !== undefined)
    throw new ConfigError(`The task's user = ${JSON.stringify(user)} is not valid: ${problem}.`);
  return [`${features.userSwitch}=${user}`];
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

function rejectVolatileMapped(options: TaskOptions, features: Features): void {
  const { volatile, private_users_ownership: asked = "auto" } = options;
  if (features.volatileMapped || !namespaced(options) || (volatile !== "yes" && volatile !== "state")) return;
  if (asked === "off") return;
  throw new ConfigError(
    `Option volatile = ${JSON.stringify(volatile)} together with user namespaces needs systemd-nspawn 257, and this client has ${features.version}: set user_namespacing = false, or private_users_ownership = "off".`,
  );
}

function networkSwitches(options: TaskOptions, network: NspawnInput["network"]): string[] {
  if (network === "joined") return [];
  const { network_veth: veth, network_bridge: bridge, network_zone: zone } = options;
  return [
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

function mountSwitches({ options, features, mounts }: NspawnInput): string[] {
  const own = (kind: "bind" | "bind-ro", map: Readonly<Record<string, string>>) =>
    Object.entries(map).map(([source, target]) => {
      const { path, options: words } = splitBindTarget(target);
      refuseUnknownBindOptions(words, features);
      return bindSwitch(kind, source, path, words);
    });
  return [
    ...mounts.map((mount) => taskMountSwitch(mount, features)),
    ...own("bind", options.bind),
    ...own("bind-ro", options.bind_read_only),
    ...options.devices.map(({ host, container }) => bindSwitch("bind", host, container, [])),
    ...options.tmpfs.map(tmpfsSwitch),
    ...options.overlay.map(overlaySwitch),
  ];
}

function taskMountSwitch(mount: TaskMount, features: Features): string {
  if (mount.propagation === "bidirectional") {
    throw new ConfigError(
      `The mount at ${JSON.stringify(mount.target)} cannot have propagation_mode "bidirectional": systemd-nspawn does not propagate mounts to the host; use "private" or "host-to-task".`,
    );
  }
  const words = mount.options ?? [];
  refuseUnknownBindOptions(words, features);
  return bindSwitch(mount.readOnly ? "bind-ro" : "bind", mount.source, mount.target, words);
}

function bindSwitch(kind: "bind" | "bind-ro", source: string, target: string, options: readonly string[]): string {
  const end = options.length === 0 ? "" : `:${options.join(",")}`;
  return `--${kind}=${hostPath(source)}:${escapeColons(target)}${end}`;
}

function tmpfsSwitch({ target, options }: TmpfsMount): string {
  return `--tmpfs=${escapeColons(target)}${options === "" ? "" : `:${options}`}`;
}

function overlaySwitch({ lower, upper, target }: OverlayMount): string {
  for (const source of upper === undefined ? lower : [...lower, upper]) {
    const problem = overlaySourceProblem(source);
    if (problem !== undefined)
      throw new ConfigError(`The path ${JSON.stringify(source)} cannot be overlaid: ${problem}.`);
  }
  const sources = [...lower.map(hostPath), upper === undefined ? "" : hostPath(upper)];
  return `--overlay=${[...sources, escapeColons(target)].join(":")}`;
}

/** A relative path would be resolved in the driver's working directory, and "+" in the image: neither is intended. */
function hostPath(path: string): string {
  if (path.startsWith("/")) return escapeColons(path);
  throw new ConfigError(`The path ${JSON.stringify(path)} cannot be mounted: it is not absolute.`);
}

/**
 * Escapes for extract_first_word() of systemd without its unescape flags: a backslash makes the next character literal;
 * quotes and commas are not special.
 */
function escapeColons(path: string): string {
  return path.replace(/[\\:]/g, "\\$&");
}

function refuseUnknownBindOptions(words: readonly string[], features: Features): void {
  const unknown = words.find((word) => !features.bindOptions.includes(word));
  if (unknown === undefined) return;
  const since = bindOptionSince(unknown);
  throw new ConfigError(
    `The mount option ${JSON.stringify(unknown)} needs systemd-nspawn ${since ?? "of a later version"}, and this client has ${features.version}.`,
  );
}

function refuseUnknownGroups(options: TaskOptions, features: Features): void {
  const unknown = options.system_call_filter.find((entry) =>
    features.unknownSystemCallGroups.includes(entry.replace(/^~/, "")),
  );
  if (unknown === undefined) return;
  throw new ConfigError(
    `Option system_call_filter = ${JSON.stringify(unknown)} is not valid: systemd-nspawn ${features.version} of this client does not know the group.`,
  );
}

/** The arguments of systemd-nspawn itself: those after "--" are the job's command, even if they look like switches. */
export function nspawnSwitches(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf("--");
  return end < 0 ? argv : argv.slice(0, end);
}
