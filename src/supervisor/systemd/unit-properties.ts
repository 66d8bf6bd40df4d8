import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { allowedDevices } from "../../nspawn/devices";
import { RESTART } from "../../nspawn/exit";
import type { UnitProperty } from "../../systemd/manager";
import type { LaunchSpec, UnitIdentity } from "../supervisor";

/** Directory for drop-ins of transient units (systemd.unit(5)). */
const RUNTIME_UNITS = "/run/systemd/system";

/** The contents of a unit's drop-in. */
interface DropIn {
  /** argv of the unit's command; the first element is an absolute path. */
  readonly command: readonly string[];
  /** Additional properties by name; names and values are already validated (config/policy.ts). */
  readonly properties: Readonly<Record<string, string>>;
  readonly identity?: UnitIdentity | undefined;
}

/** The directory of a unit's drop-ins. */
function dropInDirectory(unit: string): string {
  return join(RUNTIME_UNITS, `${unit}.d`);
}

/**
 * A unit's command and properties as the text of a drop-in file. Properties are in the drop-in because D-Bus would need the type of
 * each one, while unit files accept text. The command is in it because systemd writes the command that it gets over D-Bus to its own
 * file, in a way that differs between versions, and reads that file at every daemon-reload: 252 writes ExecStartEx under
 * this name, which it does not read, so that the unit has no command and is stopped; and it does not escape "$" in ExecStart.
 * A drop-in is the same text at the first start and at every later one.
 */
export function dropInText({ command, properties, identity }: DropIn): string {
  const lines = Object.entries(properties).map(([name, value]) => `${name}=${escapeSpecifiers(value)}\n`);
  const unit = identity === undefined ? "" : `[Unit]\nDescription=${plainLine(identity.description)}\n`;
  return `${unit}[Service]\nExecStart=${commandLine(command)}\n${identityLines(identity)}${lines.join("")}`;
}

/** The fields are in the unit's file as words with quotes, like those of a command line (systemd.exec(5), LogExtraFields=). */
function identityLines(identity: UnitIdentity | undefined): string {
  if (identity === undefined) return "";
  const fields = Object.entries(identity.fields).map(
    ([name, value]) => `LogExtraFields=${quoteWord(`${name}=${value}`)}\n`,
  );
  return `SyslogIdentifier=${plainLine(identity.identifier)}\n${fields.join("")}`;
}

/** A text as a value without quotes: neither characters that end the line nor a backslash, which would continue it. */
function plainLine(text: string): string {
  return escapeSpecifiers(text.replace(/[\p{Cc}\p{Noncharacter_Code_Point}\\]/gu, "?").trim());
}

/**
 * An argument vector as the value of ExecStart= (systemd.service(5), "Command lines"): the prefix ":" disables the
 * expansion of variables, so "$" is a plain character.
 */
export function commandLine(command: readonly string[]): string {
  return `:${command.map(quoteWord).join(" ")}`;
}

/** One word in double quotes, with C escapes for what would end the line or the quotes, or make the file invalid UTF-8. */
function quoteWord(word: string): string {
  const escaped = word
    .replace(/["\\]/g, "\\$&")
    // systemd rejects lines with noncharacters, which are legal UTF-8.
    .replace(/[\p{Cc}\p{Noncharacter_Code_Point}]/gu, (character) =>
      Array.from(Buffer.from(character), (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join(""),
    );
  return `"${escapeSpecifiers(escaped)}"`;
}

/** "%" begins a specifier (systemd.unit(5)); "%%" is a literal "%". */
function escapeSpecifiers(text: string): string {
  return text.replaceAll("%", "%%");
}

/**
 * Writes a unit's drop-in before the unit exists; removeDropIn() removes it again. Its directory is accessible only to
 * root, but not the file: at each reload systemd logs a warning about a file that is not world-readable.
 */
export function writeDropIn(unit: string, content: DropIn): void {
  mkdirSync(dropInDirectory(unit), { recursive: true, mode: 0o700 });
  writeFileSync(join(dropInDirectory(unit), "50-nomad.conf"), dropInText(content), { mode: 0o644 });
}

/** Whether a unit has a drop-in: it exists from before the unit does until after it is gone. */
export function hasDropIn(unit: string): boolean {
  return existsSync(dropInDirectory(unit));
}

/** Removes a unit's drop-in, if it has one. */
export function removeDropIn(unit: string): Promise<void> {
  return rm(dropInDirectory(unit), { recursive: true, force: true });
}

/** "infinity" on D-Bus is the largest number (org.freedesktop.systemd1(5)). */
const INFINITY = 0xffff_ffff_ffff_ffffn;
/** As in systemd-nspawn@.service: a machine has more processes than a typical service. */
const TASKS_MAX = 16384n;

/** The name of a machine's unit. */
export function unitName(machine: string): string {
  return `nomad-nspawn-${machine}.service`;
}

/**
 * How systemd treats the exit code of a container that reboots. 254 and later restart the unit automatically, unless the code
 * counts as success. Earlier versions do so too, but first close the descriptors of stdout and stderr, so that the
 * container's output goes to the journal (systemd's unit_may_gc(), which releases a failed unit's resources unless it has a job).
 * For them the code counts as success: the unit stays, with its descriptors, and SystemdUnit restarts it with a job.
 */
function rebootProperty(systemd: number): "RestartForceExitStatus" | "SuccessExitStatus" {
  return systemd >= 254 ? "RestartForceExitStatus" : "SuccessExitStatus";
}

/**
 * A cpuset list as the bitmask that AllowedCPUs= has on D-Bus: bit 0 of the first byte is CPU 0.
 *
 * @throws RangeError if the text is not a list such as "0-3,7"
 */
export function cpuMask(list: string): Uint8Array {
  const cpus = list.split(",").flatMap((part) => {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    if (match?.[1] === undefined) throw new RangeError(`"${list}" is not a list of CPUs such as "0-3,7"`);
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
  });
  const mask = new Uint8Array(Math.floor(Math.max(0, ...cpus) / 8) + 1);
  for (const cpu of cpus) mask[cpu >> 3] = (mask[cpu >> 3] ?? 0) | (1 << (cpu & 7));
  return mask;
}

/** What a unit depends on besides its container. */
interface UnitHost {
  /** The version of PID 1. */
  readonly systemd: number;
  /** The agent's unit, if it has one. */
  readonly agent?: string | undefined;
}

/**
 * The system service that a process belongs to, and so a plugin's agent; undefined if it runs otherwise, such as in a terminal.
 *
 * @param membership content of /proc/PID/cgroup (cgroups(7))
 */
export function serviceOf(membership: string): string | undefined {
  return /^(?:0:|\d+:name=systemd):\/system\.slice\/(?:[^/\n]+\.slice\/)*([^/\n]+\.service)(?:\/|$)/m.exec(
    membership,
  )?.[1];
}

/**
 * The transient unit of a container, except its command, which is in its drop-in (see dropInText()). Descriptor 0 of the
 * message is the FIFO or pipe for stdout, descriptor 1 the one for stderr.
 *
 * Descriptions of the properties: systemd.service(5), systemd.exec(5), systemd.resource-control(5), systemd.kill(5).
 */
export function unitProperties(spec: LaunchSpec, { systemd, agent }: UnitHost): UnitProperty[] {
  // systemd sets none itself for a unit without NotifyAccess=.
  const notify = spec.notifySocket === undefined ? [] : [`NOTIFY_SOCKET=${spec.notifySocket}`];
  const devices = allowedDevices(spec).map(({ path, permissions }) => [path, permissions]);
  return [
    ["Description", ["s", `Nomad task ${spec.machine}`]],
    ["Slice", ["s", spec.slice ?? "machine.slice"]],
    // Not "notify": when systemd-nspawn exits, it sends STOPPING=1, upon which systemd unloads the unit, and with it the exit
    // status, in spite of RemainAfterExit.
    ["Type", ["s", "exec"]],
    // systemd-nspawn's own messages go to the journal, so that stdout and stderr are the container's alone.
    ["Environment", ["as", ["SYSTEMD_LOG_TARGET=journal", ...notify]]],
    ...(spec.environmentFile === undefined
      ? []
      : [["EnvironmentFiles", ["a(sb)", [[spec.environmentFile, false]]]] satisfies UnitProperty]),
    ["StandardInput", ["s", "null"]],
    ...outputProperties(spec),
    // The unit keeps its exit status until the task is destroyed.
    ["RemainAfterExit", ["b", true]],
    // A single command may exit with that code itself.
    ...(spec.mode === "boot" ? [[rebootProperty(systemd), ["(aiai)", [[RESTART], []]]] satisfies UnitProperty] : []),
    ["StartLimitIntervalUSec", ["t", 0n]],
    // Changing the owners of a large image takes longer than any default; Nomad has its own deadlines.
    ["TimeoutStartUSec", ["t", INFINITY]],
    // Units stop in the reverse order: at a shutdown the agent first, which may drain its tasks, or else must not restart them.
    ...(agent === undefined ? [] : [["Before", ["as", [agent]]] satisfies UnitProperty]),
    // "mixed" sends SIGTERM to systemd-nspawn, which forwards a signal to the payload; see forwardedSignal(). It cannot send one to PID 2
    // of a container, so that one gets SIGTERM with all others. What is left after the time is killed.
    ["KillMode", ["s", spec.mode === "pid2" ? "control-group" : "mixed"]],
    ...(spec.stopTimeout === undefined
      ? []
      : [["TimeoutStopUSec", ["t", BigInt(Math.round(spec.stopTimeout * 1000))]] satisfies UnitProperty]),
    ["Delegate", ["b", true]],
    // The OOM killer may kill processes of a container without ending the task.
    ["OOMPolicy", ["s", "continue"]],
    ["CPUAccounting", ["b", true]],
    ["MemoryAccounting", ["b", true]],
    ["TasksAccounting", ["b", true]],
    ...limitProperties(spec.limits),
    ...(spec.oomScoreAdjust === undefined
      ? []
      : [["OOMScoreAdjust", ["i", spec.oomScoreAdjust]] satisfies UnitProperty]),
    // The unit's property, not --network-namespace-path=, which systemd-nspawn up to 258 rejects together with user namespaces
    // (systemd issue 36363).
    ...(spec.networkNamespace === undefined
      ? []
      : [["NetworkNamespacePath", ["s", spec.networkNamespace]] satisfies UnitProperty]),
    ["DevicePolicy", ["s", "closed"]],
    ["DeviceAllow", ["a(ss)", devices]],
  ];
}

function outputProperties({ output }: LaunchSpec): UnitProperty[] {
  if (output === "journal") {
    return [
      ["StandardOutput", ["s", "journal"]],
      ["StandardError", ["s", "journal"]],
    ];
  }
  return [
    ["StandardOutputFileDescriptor", ["h", 0]],
    ["StandardErrorFileDescriptor", ["h", 1]],
  ];
}

function limitProperties({
  memoryMax,
  memoryLow,
  cpuWeight,
  cpuQuota,
  pids,
  cpus,
}: LaunchSpec["limits"]): UnitProperty[] {
  return [
    ["TasksMax", ["t", pids === undefined ? TASKS_MAX : BigInt(pids)]],
    ...(memoryMax === undefined
      ? []
      : ([
          ["MemoryMax", ["t", BigInt(memoryMax)]],
          // As in Nomad's own drivers: swapping must not evade the memory limit.
          ["MemorySwapMax", ["t", 0n]],
        ] satisfies UnitProperty[])),
    ...(memoryLow === undefined ? [] : [["MemoryLow", ["t", BigInt(memoryLow)]] satisfies UnitProperty]),
    ...(cpuWeight === undefined ? [] : [["CPUWeight", ["t", BigInt(cpuWeight)]] satisfies UnitProperty]),
    ...(cpuQuota === undefined
      ? []
      : [["CPUQuotaPerSecUSec", ["t", BigInt(Math.max(1, Math.round(cpuQuota * 1e6)))]] satisfies UnitProperty]),
    ...(cpus === undefined ? [] : [["AllowedCPUs", ["ay", cpuMask(cpus)]] satisfies UnitProperty]),
  ];
}
