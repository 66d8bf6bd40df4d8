/**
 * Value types: texts that have a grammar, and their meaning. Each file parses one kind of value from text, formats it again, and has the
 * rules that belong to it: IP addresses and subnets, image references, durations, sizes, signals, resource limits, the lines of
 * passwd(5), and ranges of user IDs. Nothing here reads the host or knows a job; parsers return undefined, or the problem as the end of a
 * sentence, because only the caller knows which option the text came from.
 *
 * This file has the names that Linux and systemd define: capabilities, groups of system calls, machines, host names.
 */

/** The words of a list. */
function words(list: string): readonly string[] {
  return list.trim().split(/\s+/);
}

/** Capabilities in the order of linux/capability.h; systemd 249 and later know all of them. */
export const CAPABILITIES: readonly string[] = words(`
  CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP
  CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER
  CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE
  CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL
  CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON
  CAP_BPF CAP_CHECKPOINT_RESTORE
`);

/** System call groups of systemd 249 to 258 (seccomp-util.c); systemd-nspawn fails on an unknown group, but not on an unknown call. */
const SYSTEM_CALL_GROUPS: readonly string[] = words(`
  @default @aio @basic-io @chown @clock @cpu-emulation @debug @file-system @io-event @ipc @keyring @memlock @module
  @mount @network-io @obsolete @pkey @privileged @process @raw-io @reboot @resources @sandbox @setuid @signal @swap
  @sync @system-service @timer @known
`);

/**
 * The canonical name of a capability: upper case, with CAP_, or "all". Accepts what systemd-nspawn does (any case, or
 * the number); undefined for anything else.
 */
export function canonicalCapability(name: string): string | undefined {
  if (name.toLowerCase() === "all") return "all";
  if (/^\d{1,2}$/.test(name)) return CAPABILITIES[Number(name)];
  const upper = name.toUpperCase();
  return CAPABILITIES.includes(upper) ? upper : undefined;
}

/**
 * Why a text is not the name of a slice below the root slice (systemd.slice(5)), or undefined. Dashes are the levels of the tree:
 * "a-b.slice" is in "a.slice".
 */
export function sliceProblem(name: string): string | undefined {
  const valid = /^[A-Za-z0-9:_.\\]+(?:-[A-Za-z0-9:_.\\]+)*\.slice$/.test(name) && name.length <= 255;
  return valid ? undefined : 'it must be the name of a slice such as "machine.slice" or "batch-nomad.slice"';
}

/** Why systemd's hostname_is_valid() rejects a host or machine name, or undefined. */
export function hostnameProblem(name: string): string | undefined {
  if (name.length > 64) return "it must not be longer than 64 characters";
  const label = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?";
  return new RegExp(`^${label}(?:\\.${label})*$`).test(name)
    ? undefined
    : "it must consist of letters, digits, inner hyphens and single dots";
}

/** Why a text is not the name of a DNS domain (RFC 1123), or undefined; the dot of the root at its end is allowed. */
export function domainProblem(name: string): string | undefined {
  if (name.length > 253) return "it must not be longer than 253 characters";
  const label = "[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?";
  return new RegExp(`^${label}(?:\\.${label})*\\.?$`).test(name)
    ? undefined
    : "it must consist of letters, digits, inner hyphens and single dots";
}

/**
 * Why systemd's ifname_valid() rejects a network interface name, or undefined. `prefix` is what systemd-nspawn
 * puts before it.
 */
export function interfaceNameProblem(name: string, prefix = ""): string | undefined {
  const full = prefix + name;
  if (name === "") return "it must not be empty";
  if (Buffer.byteLength(full) > 15) return `it must not be longer than ${15 - prefix.length} characters`;
  if (!/^[\x21-\x7e]*$/.test(full) || /[:/%]/.test(full)) {
    return 'it must consist of printable ASCII characters other than ":", "/" and "%"';
  }
  if (/^\d+$/.test(full)) return "it must not be a number";
  if ([".", "..", "all", "default"].includes(full)) return "this name is reserved";
  return undefined;
}

/**
 * True for a valid name of a host's bridge: stricter than the kernel's dev_valid_name(), without characters that are special in nft(8), a
 * shell or a path. Linux itself, Docker, libvirt, CNI plugins and distributions use only such names.
 */
export function isBridgeName(name: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/.test(name) && interfaceNameProblem(name) === undefined;
}

/** Why a name cannot be that of a bridge, or undefined; see isBridgeName(). */
export function bridgeNameProblem(name: string): string | undefined {
  if (isBridgeName(name)) return undefined;
  return (
    interfaceNameProblem(name) ??
    'it must consist of letters, digits, "_", "." and "-", and begin with a letter, a digit or "_"'
  );
}

/** Why no process can have a variable of this name (environ(7)), or undefined. */
export function variableNameProblem(name: string): string | undefined {
  if (name === "") return "its name must not be empty";
  return /[=\0]/.test(name) ? 'its name must not contain "=" or a NUL character' : undefined;
}

/** True for the names systemd's env_name_is_valid() accepts. */
export function isEnvironmentName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name);
}

/** Why a text names no user of a container, or undefined: "USER", "USER:GROUP" or "USER:", each a name or a number. */
export function userProblem(user: string): string | undefined {
  const [name = "", group, ...more] = user.split(":");
  const valid = isUserName(name) && (group === undefined || group === "" || isUserName(group)) && more.length === 0;
  return valid ? undefined : "it must be a user of the container, USER or USER:GROUP, each a name or a number";
}

/** Whether a text can be a name field of /etc/passwd or /etc/group. */
function isUserName(name: string): boolean {
  return name !== "" && !/[:/\p{Cc}]/u.test(name) && !/^[ -]| $/.test(name) && name !== "." && name !== "..";
}

/** Why systemd-nspawn does not understand an entry of a system call filter, or undefined. */
export function systemCallProblem(entry: string): string | undefined {
  const name = entry.startsWith("~") ? entry.slice(1) : entry;
  if (name.startsWith("@")) {
    return SYSTEM_CALL_GROUPS.includes(name) ? undefined : `systemd knows no system call group ${JSON.stringify(name)}`;
  }
  return /^[a-z0-9_]+$/.test(name)
    ? undefined
    : 'it must be the name of a system call or group such as "@keyring", with "~" before it to deny it';
}

/** True for a syntactically valid name of a unit property, such as "CPUWeight". */
export function isUnitProperty(name: string): boolean {
  return /^[A-Z][A-Za-z0-9]*$/.test(name);
}

/** Why a text is not a helper's name, or undefined. */
export function helperNameProblem(name: string): string | undefined {
  return /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)
    ? undefined
    : 'it must be the part after "docker-credential-" in the helper\'s file name, such as "ecr-login"';
}

/** `"a", "b" or "c"`. */
export function alternatives(values: readonly string[]): string {
  const quoted = values.map((value) => JSON.stringify(value));
  const last = quoted.pop();
  if (last === undefined) return "nothing";
  return quoted.length === 0 ? last : `${quoted.join(", ")} or ${last}`;
}
