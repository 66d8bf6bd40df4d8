import * as v from "valibot";
import { addressFamilyProblem } from "../../values/address-families";
import { canonicalCapability, isUnitProperty, systemCallProblem } from "../../values/names";
import { canonicalLimit, limitNameProblem, limitValueProblem } from "../../values/rlimits";
import { NAMESPACED_SYSCTLS, parseSysctl } from "../../values/sysctl";
import { option } from "../option";
import { choice, flag, string, stringMap, strings } from "../row-types";
import { checked, Problem, parsed, text } from "../validators";

const capability = v.pipe(
  text,
  parsed((name: string) => {
    // Other drivers write them without the prefix.
    const canonical = canonicalCapability(name) ?? canonicalCapability(`CAP_${name}`);
    return canonical ?? new Problem('it must be the name of a capability such as "CAP_NET_ADMIN", or "all"');
  }),
);

function propertyNameProblem(name: string): string | undefined {
  return isUnitProperty(name) ? undefined : 'its name must be that of a unit property such as "CPUWeight"';
}

/** UID_INVALID of systemd: (uid_t) -1. */
const INVALID_UID = 0xff_ff_ff_ff;

/** What the container may do. */
export const securityOptions = {
  user_namespacing: option({
    ...flag(true),
    defaultInSpec: true,
    meaning: "Run the container in a user namespace, so that its root is not the host's root.",
    nspawn: "-U",
  }),
  privileged: option({
    ...flag(false),
    meaning:
      "As with the Docker driver: root in the container is root on the client, with all capabilities, all system calls, all devices and a writable `/sys` and `/proc/sys` (docs/security.md). The operator must allow it with `allow_privileged`.",
  }),
  private_users: option({
    ...string(v.pipe(text, checked(privateUsersProblem))),
    allowed: '"yes", "no", "pick", "identity", a user ID or "ID:COUNT"',
    meaning: "Which user IDs the container gets; by default an unused range is picked. Needs `user_namespacing`.",
    nspawn: "--private-users=",
    example: 'private_users = "524288:65536"',
  }),
  private_users_ownership: option({
    ...choice(["auto", "map", "chown", "off"]),
    meaning:
      "How the image's files are mapped to the container's user IDs; `auto` by default. Needs `user_namespacing`.",
    nspawn: "--private-users-ownership=",
  }),
  bind_user: option({
    ...strings(v.pipe(text, checked(bindUserProblem))),
    allowed: "a list of names of users of the client",
    meaning:
      "Users of the client who exist in the container too, with their home directories at `/run/host/home`; a booted system of systemd 249 or later lets them log in with their passwords. The operator has to allow each with `allow_bind_users`. Needs user namespaces.",
    nspawn: "--bind-user=",
    example: 'bind_user = ["alice"]',
    switches: (names) => names.map((name) => `--bind-user=${name}`),
  }),
  capability: option({
    ...strings(capability),
    allowed: "a list of capabilities",
    meaning:
      "Capabilities to add to systemd-nspawn's default set, with or without `CAP_`. The operator may limit them with `allow_caps`.",
    nspawn: "--capability=",
    example: 'capability = ["CAP_NET_ADMIN"]',
    switches: (names) => (names.length === 0 ? [] : [`--capability=${names.join(",")}`]),
  }),
  drop_capability: option({
    ...strings(capability),
    allowed: "a list of capabilities",
    meaning: "Capabilities to remove from the container; with `all`, those of `capability` are kept.",
    nspawn: "--drop-capability=",
    example: 'drop_capability = ["CAP_NET_RAW"]',
    switches: (names) => (names.length === 0 ? [] : [`--drop-capability=${names.join(",")}`]),
  }),
  ambient_capability: option({
    ...strings(
      v.pipe(
        capability,
        checked((name: string) =>
          name === "all" ? 'it must be the name of one capability; "all" cannot be ambient' : undefined,
        ),
      ),
    ),
    allowed: "a list of capabilities",
    meaning:
      "Capabilities that the command has although its `user` is not root, and that programs it runs keep (ambient capabilities, capabilities(7)). They need not be in `capability`, and the operator limits them in the same way. Needs `boot = false`.",
    nspawn: "--ambient-capability=",
    example: 'boot = false\nambient_capability = ["CAP_NET_RAW"]',
  }),
  restrict_address_families: option({
    ...strings(v.pipe(text, checked(addressFamilyProblem))),
    allowed: 'a list of address families, or "none"',
    meaning:
      "Address families for which the container can make sockets (RestrictAddressFamilies= of systemd.exec(5)), or, with a leading `~` before each, for which it cannot. io_uring is not available then. With `boot` or `process_two` it needs systemd-nspawn 261.",
    nspawn: "--restrict-address-families=",
    example: 'restrict_address_families = ["AF_UNIX", "AF_INET", "AF_INET6"]',
  }),
  apparmor_profile: option({
    ...string(v.pipe(text, checked(labelProblem))),
    allowed: "the name of a profile that is loaded on the client",
    meaning: "AppArmor profile of the command, on clients with AppArmor. Needs `boot = false`.",
    example: 'boot = false\napparmor_profile = "nomad-web"',
  }),
  selinux_context: option({
    ...string(v.pipe(text, checked(labelProblem))),
    allowed: "a security context",
    meaning: "SELinux context of the container's processes, on clients with SELinux.",
    nspawn: "--selinux-context=",
    example: 'selinux_context = "system_u:system_r:container_t:s0:c1,c2"',
    switches: (context) => [`--selinux-context=${context}`],
  }),
  selinux_apifs_context: option({
    ...string(v.pipe(text, checked(labelProblem))),
    allowed: "a security context",
    meaning: "SELinux context of the files in the container's `/proc`, `/sys`, `/dev` and tmpfs file systems.",
    nspawn: "--selinux-apifs-context=",
    example: 'selinux_apifs_context = "system_u:object_r:container_file_t:s0:c1,c2"',
    switches: (context) => [`--selinux-apifs-context=${context}`],
  }),
  no_new_privileges: option({
    ...flag(false),
    meaning: "Set-user-ID bits and file capabilities are ignored in the container (PR_SET_NO_NEW_PRIVS).",
    nspawn: "--no-new-privileges=",
    switches: (on) => (on ? ["--no-new-privileges=yes"] : []),
  }),
  system_call_filter: option({
    ...strings(v.pipe(text, checked(systemCallProblem))),
    allowed: "a list of system calls and groups",
    meaning:
      "System calls and groups to allow in addition to systemd-nspawn's default set, or, with a leading `~`, to deny.",
    nspawn: "--system-call-filter=",
    example: 'system_call_filter = ["@keyring", "~ptrace"]',
    switches: (entries) => entries.map((entry) => `--system-call-filter=${entry}`),
  }),
  rlimits: option({
    ...stringMap({ name: limitNameProblem, value: (value, name) => limitValueProblem(name, value) }),
    allowed: 'a map of limit to "SOFT" or "SOFT:HARD"',
    meaning: "Resource limits (setrlimit(2)) of the container's first process.",
    nspawn: "--rlimit=",
    example: 'rlimits = {\n  NOFILE = "1024:65536"\n}',
    switches: (limits) => Object.entries(limits).map(([name, value]) => `--rlimit=${canonicalLimit(name)}=${value}`),
  }),
  oom_score_adjust: option({
    type: { kind: "number", min: -1000, max: 1000 },
    schema: v.optional(v.pipe(v.number(), checked(oomScoreProblem))),
    allowed: "a whole number from -1000 to 1000",
    // Not with --oom-score-adjust=: with user namespaces, systemd-nspawn 252 to 257 no longer has the permission to write the value.
    meaning: "Adjusts the OOM killer's preference for this container (proc_pid_oom_score_adj(5)).",
    example: "oom_score_adjust = 100",
  }),
  sysctl: option({
    ...stringMap({ name: sysctlNameProblem, value: sysctlValueProblem }),
    allowed: "a map of kernel setting to value",
    meaning: `Kernel settings of the container (sysctl(8)), with dots or slashes: ${NAMESPACED_SYSCTLS}. Those of \`net\` need a network other than the client's, and belong to the whole group in a group's network. The operator may limit them with \`allow_sysctls\`.`,
    example: 'sysctl = {\n  "net.core.somaxconn" = "1024"\n}',
  }),
  properties: option({
    ...stringMap({ name: propertyNameProblem, value: propertyValueProblem }),
    meaning: "Additional properties of the task's systemd unit; the operator must allow each with `allow_properties`.",
    example: 'properties = {\n  IOWeight = "50"\n}',
  }),
};

function labelProblem(label: string): string | undefined {
  return /^[\x21-\x7e]{1,255}$/.test(label)
    ? undefined
    : "it must consist of at most 255 printable characters without spaces";
}

function sysctlNameProblem(name: string): string | undefined {
  const parsedName = parseSysctl(name);
  return typeof parsedName === "string" ? parsedName : undefined;
}

function sysctlValueProblem(value: string): string | undefined {
  return /^[\x20-\x7e\t]{1,1024}$/.test(value) ? undefined : "it must be one line of at most 1024 printable characters";
}

function propertyValueProblem(value: string): string | undefined {
  if (/[\r\n]/.test(value)) return "it must be one line";
  // It would continue the line in the unit's file (systemd.syntax(7)) and take the next property with it.
  return value.endsWith("\\") ? "it must not end with a backslash" : undefined;
}

function bindUserProblem(name: string): string | undefined {
  if (name === "root" || name === "nobody") return "systemd-nspawn binds neither root nor nobody";
  return /^[A-Za-z_][A-Za-z0-9_.-]{0,30}$/.test(name) ? undefined : "it must be the name of a user";
}

function privateUsersProblem(value: string): string | undefined {
  const range = /^(\d+)(?::(\d+))?$/.exec(value);
  if (value === "managed") {
    return '"managed" is a range of systemd-nsresourced, which this driver does not use: it picks an unused range itself ("pick"), and "ID:COUNT" is for more IDs than 65536';
  }
  if (range === null) {
    return ["yes", "no", "pick", "identity"].includes(value)
      ? undefined
      : 'it must be "yes", "no", "pick", "identity", a user ID or "ID:COUNT"';
  }
  const first = Number(range[1]);
  const count = range[2] === undefined ? 65_536 : Number(range[2]);
  if (count === 0) return "the number of user IDs must not be 0";
  if (first === 0xff_ff || first + count > INVALID_UID) {
    return `the user IDs must lie between 0 and ${INVALID_UID - 1}, and 65535 cannot be the first`;
  }
  return undefined;
}

function oomScoreProblem(value: number): string | undefined {
  return Number.isInteger(value) && Math.abs(value) <= 1000
    ? undefined
    : "it must be a whole number from -1000 to 1000";
}
