import { parseAddressFamilies } from "../values/address-families";
import { contains, isLocal, parseAddress, parseSubnet } from "../values/ip";
import { namespaced } from "../values/private-users";
import { RESOLV_CONF, sysctlsOf, writtenFiles } from "./derived";
import { splitBindTarget } from "./mounts";
import type { TaskOptions } from "./task/options";

/** Options that are valid alone and invalid together; each rule returns a sentence, or undefined if it is satisfied. */
const RULES: readonly ((options: TaskOptions) => string | undefined)[] = [
  ({ boot, process_two, init }) =>
    boot && process_two
      ? `Options boot = true and ${init ? "init" : "process_two"} = true exclude each other: set boot = false to run the command as PID 2.`
      : undefined,

  ({ boot, journal }) =>
    !boot && journal !== undefined && journal !== "off"
      ? `Option journal = "${journal}" needs boot = true: a single command has no journal; what it prints is in the task's log.`
      : undefined,

  // nspawn.c, nspawn_dispatch_notify_fd(): messages of other processes than PID 1 are ignored.
  ({ notify_ready, process_two, init }) =>
    notify_ready && process_two
      ? `Options notify_ready = true and ${init ? "init" : "process_two"} = true exclude each other: systemd-nspawn accepts READY=1 only from PID 1 of the container.`
      : undefined,

  (options) => {
    for (const [option, file] of writtenFiles(options)) {
      const own = mountTargets(options).find(([, path]) => simplify(path) === file);
      if (own === undefined) continue;
      return `Options ${option} and ${own[0]} exclude each other: ${own[0]} mounts a file of the job's own at "${file}"; write into that what ${option} has.`;
    }
    return undefined;
  },

  ({ hostname, domainname }) =>
    hostname?.includes(".") === true && domainname !== undefined
      ? `Options hostname = ${JSON.stringify(hostname)} and domainname = ${JSON.stringify(domainname)} exclude each other: the host name has a domain already.`
      : undefined,

  (options) => {
    const dns = writtenFiles(options).find(([, file]) => file === RESOLV_CONF)?.[0];
    return options.resolv_conf === undefined || dns === undefined
      ? undefined
      : `Options resolv_conf = "${options.resolv_conf}" and ${dns} exclude each other: with ${dns} the driver writes the container's /etc/resolv.conf.`;
  },

  ({ image, ephemeral, volatile }) =>
    /^\/+$/.test(image) && !ephemeral && volatile !== "yes" && volatile !== "state"
      ? 'Option image = "/" is the host\'s own root: it needs ephemeral = true, or volatile = "yes" or "state".'
      : undefined,

  ({ template, image_download: download, ephemeral, volatile = "no" }) => {
    if (template === undefined) return undefined;
    if (download !== undefined) return "Options template and image_download exclude each other: both make the image.";
    return ephemeral || volatile === "overlay" || volatile === "yes"
      ? `Options template and ${ephemeral ? "ephemeral = true" : `volatile = "${volatile}"`} exclude each other: a copy that keeps no changes needs no template; name it as the image.`
      : undefined;
  },

  ({ pull, image_download: download }) =>
    pull !== undefined && download !== undefined
      ? `Options pull = "${pull}" and image_download exclude each other: image_download has its own option force.`
      : undefined,

  (options) =>
    options.bind_user.length > 0 && !namespaced(options)
      ? "Option bind_user needs user namespaces: remove user_namespacing = false or private_users."
      : undefined,

  ({ boot, entrypoint }) =>
    boot && entrypoint.length > 0
      ? "Options boot = true and entrypoint exclude each other: the container runs its init program; use args for arguments of it, or set boot = false."
      : undefined,

  ({ boot, group_add }) =>
    boot && group_add.length > 0
      ? "Options boot = true and group_add exclude each other: the groups are those of a command's user; set boot = false."
      : undefined,

  ({ command, entrypoint, boot }) => {
    if (boot) return undefined;
    const empty = entrypoint.length > 0 ? entrypoint[0] === "" && "entrypoint" : command[0] === "" && "command";
    return empty ? `Option ${empty}[0] = "" is not valid: it must name a program.` : undefined;
  },

  // verify_arguments() of nspawn.c rejects these after the start; volatile = "no" is the same as none.
  ({ private_users_ownership: ownership, volatile, read_only }) => {
    if (ownership !== "chown") return undefined;
    const other =
      volatile !== undefined && volatile !== "no"
        ? `volatile = "${volatile}"`
        : read_only
          ? "read_only = true"
          : undefined;
    return other === undefined
      ? undefined
      : `Options private_users_ownership = "chown" and ${other} exclude each other: the image's files could not be changed; use "auto" or "map".`;
  },

  ({ tmp, read_only, volatile = "no" }) => {
    const other = read_only
      ? "read_only = true"
      : volatile === "yes" || volatile === "state"
        ? `volatile = "${volatile}"`
        : undefined;
    return tmp !== "disk" || other === undefined
      ? undefined
      : `Options tmp = "disk" and ${other} exclude each other: the image's /tmp could not be written; use tmp = "tmpfs".`;
  },

  ({ storage_limit, volatile }) =>
    storage_limit !== undefined && (volatile === "yes" || volatile === "state")
      ? `Options storage_limit and volatile = "${volatile}" exclude each other: changes go to a tmpfs of systemd-nspawn, which has a limit of its own; use volatile = "overlay".`
      : undefined,

  ({ privileged, private_users }) =>
    privileged && private_users !== undefined && private_users !== "no"
      ? `Options privileged = true and private_users = ${JSON.stringify(private_users)} exclude each other: a privileged container has the client's users.`
      : undefined,

  // The Go driver silently ignores these; here a setting that contradicts the result is rejected.
  ({ user_namespacing, private_users }) =>
    !user_namespacing && private_users !== undefined && private_users !== "no"
      ? `Option private_users = ${JSON.stringify(private_users)} needs user_namespacing = true: remove it, or set it to "no".`
      : undefined,
  (options) => {
    const ownership = options.private_users_ownership;
    return !namespaced(options) && (ownership === "chown" || ownership === "map")
      ? `Option private_users_ownership = "${ownership}" needs user namespaces: set user_namespacing = true and private_users to other than "no".`
      : undefined;
  },

  ({ credentials, credential_files }) => {
    const both = Object.keys(credentials).find((name) => Object.hasOwn(credential_files, name));
    return both === undefined
      ? undefined
      : `Options credentials and credential_files both have ${JSON.stringify(both)}: keep it in one of them.`;
  },

  ({ network_bridge, network_zone }) =>
    network_bridge !== undefined && network_zone !== undefined
      ? `Options network_bridge = ${JSON.stringify(network_bridge)} and network_zone = ${JSON.stringify(network_zone)} exclude each other: a container has one network interface.`
      : undefined,

  ({ network, network_bridge, network_zone, network_veth }) => {
    if (network === undefined) return undefined;
    const own =
      network_bridge === undefined
        ? network_zone === undefined
          ? network_veth || network.kind === "host"
            ? undefined
            : "network_veth = false"
          : `network_zone = ${JSON.stringify(network_zone)}`
        : `network_bridge = ${JSON.stringify(network_bridge)}`;
    return own === undefined
      ? undefined
      : `Options network = ${JSON.stringify(network.word)} and ${own} exclude each other: keep network, which says the same in one word.`;
  },

  (options) => {
    for (const [family, address, gateway] of [
      [4, options.ipv4_address, options.ipv4_gateway],
      [6, options.ipv6_address, options.ipv6_gateway],
    ] as const) {
      const router = parseAddress(gateway ?? "");
      const own = parseSubnet(address ?? "");
      if (router === undefined) continue;
      if (own === undefined) return `Option ipv${family}_gateway needs ipv${family}_address.`;
      if (own.value === router.value || !(contains(own, router) || (family === 6 && isLocal(router)))) {
        return `Option ipv${family}_gateway = "${gateway}" is not another address in the network of ipv${family}_address = "${address}".`;
      }
    }
    return undefined;
  },

  (options) => {
    const names = sysctlsOf(options).map(({ name }) => name);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    return twice === undefined ? undefined : `Option sysctl sets ${JSON.stringify(twice)} twice: keep one of them.`;
  },

  ({ ports, port_map }) =>
    ports.length > 0 && Object.keys(port_map).length > 0
      ? "Options ports and port_map exclude each other: use ports."
      : undefined,

  ({ boot, ambient_capability, apparmor_profile }) => {
    const [option, value] =
      apparmor_profile === undefined
        ? ["ambient_capability", ambient_capability[0]]
        : ["apparmor_profile", apparmor_profile];
    return boot && value !== undefined
      ? `Options boot = true and ${option} = ${JSON.stringify(value)} exclude each other: it is for a command; set boot = false.`
      : undefined;
  },

  ({ restrict_address_families: families, drop_capability, no_new_privileges }) => {
    const parsed = parseAddressFamilies(families);
    if (typeof parsed === "string") return `Option restrict_address_families is not valid: ${parsed}.`;
    const unable =
      parsed !== undefined &&
      !no_new_privileges &&
      ["all", "CAP_SYS_ADMIN"].some((name) => drop_capability.includes(name));
    return unable
      ? "Option restrict_address_families without CAP_SYS_ADMIN needs no_new_privileges = true: the kernel lets no other program install the filter."
      : undefined;
  },

  ({ ambient_capability, drop_capability }) => {
    const both = ambient_capability.find((name) => drop_capability.includes(name));
    return both === undefined
      ? undefined
      : `Options ambient_capability and drop_capability both name ${JSON.stringify(both)}: keep it in one of them.`;
  },

  ({ capability, drop_capability }) => {
    const both = capability.find((name) => drop_capability.includes(name));
    return both === undefined
      ? undefined
      : `Options capability and drop_capability both name ${JSON.stringify(both)}: keep it in one of them.`;
  },

  (options) => {
    const seen = new Map<string, string>();
    for (const [option, path] of mountTargets(options)) {
      const target = simplify(path);
      const first = seen.get(target);
      if (first !== undefined) {
        return `Options ${first} and ${option} both mount something at ${JSON.stringify(target)}: one path can be mounted once.`;
      }
      seen.set(target, option);
    }
    return undefined;
  },

  // custom_mount_check_all() of nspawn.c.
  (options) => {
    const root = mountTargets(options).find(([, path]) => simplify(path) === "/");
    if (root === undefined || !namespaced(options)) return undefined;
    const fixed = options.private_users === "identity" || /^\d/.test(options.private_users ?? "");
    return fixed && options.private_users_ownership === "off"
      ? undefined
      : `Option ${root[0]} replaces the container's root "/": this needs user_namespacing = false, or private_users with a fixed ID and private_users_ownership = "off".`;
  },
];

/** The first forbidden combination as a sentence, or undefined. */
export function combinationProblem(options: TaskOptions): string | undefined {
  for (const rule of RULES) {
    const problem = rule(options);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Mount targets, by option. */
export function mountTargets(options: TaskOptions): [option: string, path: string][] {
  const { bind, bind_read_only, tmpfs, overlay, inaccessible, devices } = options;
  return [
    ...Object.values(bind).map((target): [string, string] => ["bind", splitBindTarget(target).path]),
    ...Object.values(bind_read_only).map((target): [string, string] => [
      "bind_read_only",
      splitBindTarget(target).path,
    ]),
    ...tmpfs.map(({ target }): [string, string] => ["tmpfs", target]),
    ...overlay.map(({ target }): [string, string] => ["overlay", target]),
    ...devices.map(({ container }): [string, string] => ["devices", container]),
    ...inaccessible.map((path): [string, string] => ["inaccessible", path]),
  ];
}

/** A path without repeated and final slashes and "." components, like path_simplify() of systemd. */
export function simplify(path: string): string {
  return `/${path
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .join("/")}`;
}
