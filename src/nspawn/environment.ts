import { MAX_ARGUMENT_BYTES } from "../config/validators";
import { ConfigError } from "../lib/errors";
import { isEnvironmentName } from "../values/names";
import { environmentFile } from "./environment-file";
import type { Features } from "./features";

/**
 * systemd-nspawn's settings file of a machine (systemd.nspawn(5)). A file in this directory is trusted, and keeps
 * systemd-nspawn from searching for one beside the image.
 */
const SETTINGS_DIRECTORY = "/run/systemd/nspawn";

/** The path of a machine's settings file. */
export function settingsFilePath(machine: string): string {
  return `${SETTINGS_DIRECTORY}/${machine}.nspawn`;
}

/**
 * True if a value can be written into a settings file. A line ends at a line feed or carriage return, quoted or not, and
 * the format has no escape for either.
 */
function fitsSettingsFile(value: string): boolean {
  return !/[\r\n]/.test(value);
}

/** The text of a settings file with these variables; each value must fit (fitsSettingsFile). */
export function settingsFile(environment: Readonly<Record<string, string>>): string {
  const lines = Object.entries(environment).map(([name, value]) => `Environment=${quote(`${name}=${value}`)}\n`);
  return `[Exec]\n${lines.join("")}`;
}

/**
 * Quotes a word for config_parse_strv(): adjacent quoted parts make one word, and a backslash is not
 * special (EXTRACT_UNQUOTE, EXTRACT_RETAIN_ESCAPE). The final quote also keeps a trailing backslash from
 * continuing the line.
 */
function quote(word: string): string {
  const parts = word.match(/[^"]+|"+/g) ?? [];
  return parts.map((part) => (part.startsWith('"') ? `'${part}'` : `"${part}"`)).join("");
}

/** Limit of all variables together, in bytes: execve(2) accepts a quarter of the usual stack limit; the rest is for the arguments. */
const MAX_TOTAL_BYTES = 2 * 1024 * 1024 - 256 * 1024;

/** How the task's environment is passed to the container without its values in an argument vector. */
export interface TaskEnvironment {
  /** Text of the machine's settings file (settingsFilePath), to be written with mode 0600 before the start. */
  readonly settingsFile: string;
  /** Arguments of systemd-nspawn; empty unless a value has more than one line. */
  readonly arguments: readonly string[];
  /** Text for LaunchSpec.environmentFile, to be written with mode 0600; absent unless a value has more than one line. */
  readonly environmentFile?: string;
}

/**
 * Decides how the variables are passed. Normally all are in the settings file. It cannot contain line breaks, and any --setenv=
 * makes systemd-nspawn ignore the file's variables, so if a value has several lines, all variables are passed in
 * systemd-nspawn's own environment and named with `--setenv=NAME`. That is not possible for names that affect systemd-nspawn itself
 * or one of its libraries: they are passed as `--setenv=NAME=VALUE`, which any user of the host can read.
 *
 * @throws ConfigError with the variable's name, never its value
 */
export function taskEnvironment(environment: Readonly<Record<string, string>>, features: Features): TaskEnvironment {
  const names = Object.keys(environment);
  let total = 0;
  for (const [name, value] of Object.entries(environment)) {
    const problem = variableProblem(name, value);
    if (problem !== undefined) throw new ConfigError(`Environment variable ${JSON.stringify(name)} ${problem}.`);
    total += Buffer.byteLength(name) + Buffer.byteLength(value) + 2 + 8;
  }
  if (total > MAX_TOTAL_BYTES) {
    throw new ConfigError(
      `The task's environment variables take ${total} bytes together: no more than ${MAX_TOTAL_BYTES} can be passed to a process.`,
    );
  }
  const multiline = Object.entries(environment).find(([, value]) => !fitsSettingsFile(value))?.[0];
  if (multiline === undefined) return { settingsFile: settingsFile(environment), arguments: [] };
  if (!features.setenvByName) {
    throw new ConfigError(
      `Environment variable ${JSON.stringify(multiline)} has a value of several lines: this needs systemd-nspawn 250, and this client has ${features.version}.`,
    );
  }
  const open = names.filter(affectsNspawn);
  const refused = open.find((name) => !fitsSettingsFile(environment[name] ?? ""));
  if (refused !== undefined) {
    throw new ConfigError(
      `Environment variable ${JSON.stringify(refused)} has a value of several lines: this is not possible for a name that also affects systemd-nspawn on the host.`,
    );
  }
  const hidden = Object.entries(environment).filter(([name]) => !affectsNspawn(name));
  return {
    settingsFile: settingsFile({}),
    arguments: [
      ...hidden.map(([name]) => `--setenv=${name}`),
      ...open.map((name) => `--setenv=${name}=${environment[name] ?? ""}`),
    ],
    environmentFile: environmentFile(Object.fromEntries(hidden)),
  };
}

/**
 * The text for LaunchSpec.environmentFile: the variables of taskEnvironment(), and those by which systemd-nspawn itself is configured.
 *
 * @param tmp "disk": /tmp is the image's own, instead of the tmpfs that systemd-nspawn mounts there (SYSTEMD_NSPAWN_TMPFS_TMP, in every
 *   supported version: ENVIRONMENT.md of systemd)
 * @returns undefined if no such file is needed
 */
export function nspawnVariables(environmentText: string | undefined, tmp: "disk" | "tmpfs"): string | undefined {
  if (tmp === "tmpfs") return environmentText;
  return `${environmentText ?? ""}${environmentFile({ SYSTEMD_NSPAWN_TMPFS_TMP: "0" })}`;
}

function variableProblem(name: string, value: string): string | undefined {
  if (!isEnvironmentName(name)) {
    return "cannot be passed: its name must consist of letters, digits and underscores and not begin with a digit";
  }
  if (value.includes("\0")) return "cannot be passed: its value must not contain a NUL character";
  if (!isSystemdText(value)) return "cannot be passed: its value contains characters that are not valid Unicode text";
  if (Buffer.byteLength(name) + 1 + Buffer.byteLength(value) > MAX_ARGUMENT_BYTES) {
    return `cannot be passed: name and value must not be longer than ${MAX_ARGUMENT_BYTES} bytes`;
  }
  return undefined;
}

/** Whether systemd's utf8_is_valid() accepts it: no lone surrogates and no noncharacters. Otherwise systemd would drop the variable. */
function isSystemdText(value: string): boolean {
  return value.isWellFormed() && !/\p{Noncharacter_Code_Point}/u.test(value);
}

/**
 * Variables that systemd-nspawn, the dynamic loader, glibc or a library it loads reads: glibc's unsecure variables and those
 * of sd-daemon, libsystemd, libmount, libblkid, libcryptsetup, libtss2, p11-kit, OpenSSL, xtables and the sanitizers.
 */
const AFFECTS_NSPAWN = new RegExp(
  `^(?:${[
    "(?:LD|GLIBC|MALLOC|RES|RESOLV|NIS|LC|SYSTEMD|LISTEN|WATCHDOG|DBUS|NOTIFY|MEMORY_PRESSURE|XDG|SD|SUDO)_.*",
    "(?:LIBMOUNT|LIBBLKID|BLKID|DM|LIBCRYPTSETUP|TSS2|P11_KIT|GNUTLS|XTABLES|SELINUX|NSS|SSS|KRB5|UDEV|KMOD)_.*",
    "(?:ASAN|LSAN|MSAN|TSAN|UBSAN)_OPTIONS|GCOV_.*|LLVM_PROFILE_FILE",
    "OPENSSL_(?:CONF|CONF_INCLUDE|ENGINES|MODULES|ia32cap|armcap|MALLOC.*)|CTLOG_FILE|SSL_CERT_(?:FILE|DIR)|RANDFILE",
    "GCONV_PATH|GETCONF_DIR|HOSTALIASES|LOCALDOMAIN|LOCPATH|NLSPATH|TMPDIR|TMP|TEMP|TZ|TZDIR|LANG|LANGUAGE|POSIXLY_CORRECT",
    "PATH|HOME|USER|LOGNAME|SHELL|PWD|TERM|COLORTERM|NO_COLOR|COLUMNS|LINES|PAGER|PIN|IFS|ENV|BASH_.*",
    "INVOCATION_ID|JOURNAL_STREAM|MAINPID|MANAGERPID|RUNLEVEL|NET_NAMING_SCHEME|UNIFIED_CGROUP_HIERARCHY|container.*",
    "(?:RUNTIME|STATE|CACHE|LOGS|CONFIGURATION|CREDENTIALS)_DIRECTORY",
  ].join("|")})$`,
);

/** True if systemd-nspawn must not have the variable in its own environment. */
function affectsNspawn(name: string): boolean {
  return AFFECTS_NSPAWN.test(name);
}
