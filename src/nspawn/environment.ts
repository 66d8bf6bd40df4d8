import { MAX_ARGUMENT_BYTES } from "../config/validators";
import { ConfigError } from "../lib/errors";
import { isEnvironmentName, variableNameProblem } from "../values/names";
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
  /** "NAME=VALUE" of the variables that only a program of the driver can pass. */
  readonly wrapped: readonly string[];
  /** The number of the variables that systemd-nspawn passes. */
  readonly count: number;
  /** Notes for the job's author, as sentences. */
  readonly warnings: readonly string[];
}

/**
 * Decides how the variables are passed: in the settings file, unless systemd would not take a name or value from there. For a command,
 * a program of the driver then passes them. An init system has no program before it: variables of several lines go another way
 * (environmentOfSystem()), and those with other names are left out, because systemd would not take them from there either.
 *
 * @throws ConfigError with the variable's name, never its value
 */
export function taskEnvironment(
  environment: Readonly<Record<string, string>>,
  { boot, features }: { readonly boot: boolean; readonly features: Features },
): TaskEnvironment {
  const all = Object.entries(environment);
  refuseImpossible(all);
  const odd = all.filter(([name, value]) => !isEnvironmentName(name) || !isSystemdText(value));
  const plain = all.filter((variable) => !odd.includes(variable));
  const multiline = plain.filter(([, value]) => !fitsSettingsFile(value));
  if (boot) {
    const names = odd.map(([name]) => JSON.stringify(name)).join(", ");
    const warnings =
      odd.length === 0
        ? []
        : [
            `The init system does not get the environment variables ${names}: systemd takes only names of letters, digits and underscores, and values of valid text.`,
          ];
    const count = plain.length;
    if (multiline.length > 0) return { ...environmentOfSystem(plain, features), wrapped: [], count, warnings };
    return { settingsFile: settingsFile(Object.fromEntries(plain)), arguments: [], wrapped: [], count, warnings };
  }
  const listed = plain.filter((variable) => !multiline.includes(variable));
  return {
    settingsFile: settingsFile(Object.fromEntries(listed)),
    arguments: [],
    wrapped: [...odd, ...multiline].map(([name, value]) => `${name}=${value}`),
    count: listed.length,
    warnings: [],
  };
}

/**
 * The text for LaunchSpec.environmentFile: the variables of taskEnvironment(), and those by which systemd-nspawn itself is configured.
 *
 * @param tmp "disk": /tmp is the image's own, instead of the tmpfs that systemd-nspawn mounts there (SYSTEMD_NSPAWN_TMPFS_TMP, in every
 *   supported version: ENVIRONMENT.md of systemd)
 * @param privileged /sys and /proc/sys are writable (SYSTEMD_NSPAWN_API_VFS_WRITABLE, in the same file)
 * @returns undefined if no such file is needed
 */
export function nspawnVariables(
  environmentText: string | undefined,
  { tmp, privileged }: { readonly tmp: "disk" | "tmpfs"; readonly privileged: boolean },
): string | undefined {
  const own = {
    ...(tmp === "disk" ? { SYSTEMD_NSPAWN_TMPFS_TMP: "0" } : {}),
    ...(privileged ? { SYSTEMD_NSPAWN_API_VFS_WRITABLE: "1" } : {}),
  };
  return Object.keys(own).length === 0 ? environmentText : `${environmentText ?? ""}${environmentFile(own)}`;
}

type Variable = readonly [name: string, value: string];

/**
 * Variables of which some have several lines. The settings file cannot contain line breaks, and any --setenv= makes systemd-nspawn ignore
 * the file's variables: so all are passed in systemd-nspawn's own environment and named with `--setenv=NAME`. That is not possible for
 * names that affect systemd-nspawn itself or one of its libraries: they are passed as `--setenv=NAME=VALUE`, which any user of the host
 * can read.
 */
function environmentOfSystem(variables: readonly Variable[], features: Features) {
  const refuse = (name: string | undefined, why: string) => {
    if (name === undefined) return;
    throw new ConfigError(`Environment variable ${JSON.stringify(name)} has a value of several lines: ${why}.`);
  };
  const multiline = variables.filter(([, value]) => !fitsSettingsFile(value));
  if (!features.setenvByName) {
    refuse(multiline[0]?.[0], `this needs systemd-nspawn 250, and this client has ${features.version}`);
  }
  refuse(
    multiline.find(([name]) => affectsNspawn(name))?.[0],
    "this is not possible for a name that also affects systemd-nspawn on the host",
  );
  const hidden = variables.filter(([name]) => !affectsNspawn(name));
  const open = variables.filter(([name]) => affectsNspawn(name));
  return {
    settingsFile: settingsFile({}),
    arguments: [
      ...hidden.map(([name]) => `--setenv=${name}`),
      ...open.map(([name, value]) => `--setenv=${name}=${value}`),
    ],
    environmentFile: environmentFile(Object.fromEntries(hidden)),
  };
}

function refuseImpossible(variables: readonly Variable[]): void {
  let total = 0;
  for (const [name, value] of variables) {
    const problem = variableProblem(name, value);
    if (problem !== undefined) {
      throw new ConfigError(`Environment variable ${JSON.stringify(name)} cannot be passed: ${problem}.`);
    }
    total += Buffer.byteLength(name) + Buffer.byteLength(value) + 2 + 8;
  }
  if (total > MAX_TOTAL_BYTES) {
    throw new ConfigError(
      `The task's environment variables take ${total} bytes together: no more than ${MAX_TOTAL_BYTES} can be passed to a process.`,
    );
  }
}

function variableProblem(name: string, value: string): string | undefined {
  const problem = variableNameProblem(name);
  if (problem !== undefined) return problem;
  if (value.includes("\0")) return "its value must not contain a NUL character";
  if (Buffer.byteLength(name) + 1 + Buffer.byteLength(value) > MAX_ARGUMENT_BYTES) {
    return `name and value must not be longer than ${MAX_ARGUMENT_BYTES} bytes`;
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
