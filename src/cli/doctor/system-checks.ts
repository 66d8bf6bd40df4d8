import { accessSync, constants, readFileSync, readlinkSync, statSync } from "node:fs";
import type { PluginOptions } from "../../config/plugin/options";
import { errnoCode, ifThere } from "../../lib/errors";
import { commitTime } from "../../lib/executable";
import { readIfThere } from "../../lib/files";
import { isRecord, parseJson } from "../../lib/objects";
import { about, type Finding } from "./finding";

/** A range of subordinate IDs of a user (subuid(5)). */
export interface SubIds {
  readonly file: "/etc/subuid" | "/etc/subgid";
  readonly user: string;
  readonly first: number;
  readonly count: number;
}

/** The file of registry credentials; `problem` is why it cannot be used. */
export interface AuthFileFact {
  readonly path: string;
  readonly mode: number;
  readonly problem?: string;
}

/** What containers need of a host beside systemd-nspawn and the kernel's features. */
export interface SystemFacts {
  /** The error code with which /run cannot be written to; undefined if it can. */
  readonly run: string | undefined;
  /** fs.inotify.max_user_instances; undefined if it is not known. */
  readonly inotifyInstances: number | undefined;
  readonly subIds: readonly SubIds[];
  /** The link in /etc/systemd or /run/systemd that masks systemd-machined. */
  readonly maskedMachined: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The time of the commit that this program was built from, milliseconds since the epoch; undefined if it is not known. */
  readonly built: number | undefined;
  readonly authFile: AuthFileFact | undefined;
}

/** Inspects this host; changes nothing. */
export function readSystem(options: Pick<PluginOptions, "auth"> | undefined): SystemFacts {
  const instances = readIfThere("/proc/sys/fs/inotify/max_user_instances");
  const { config: auth } = options?.auth ?? {};
  return {
    run: writeProblem("/run"),
    inotifyInstances: instances === undefined ? undefined : Number(instances),
    subIds: (["/etc/subuid", "/etc/subgid"] as const).flatMap((file) => parseSubIds(file, readIfThere(file) ?? "")),
    maskedMachined: ["/etc", "/run"].some(
      (top) => ifThere(() => linkOf(`${top}/systemd/system/systemd-machined.service`), "") === "/dev/null",
    ),
    now: Date.now(),
    built: commitTime === undefined ? undefined : Date.parse(commitTime),
    authFile: auth === undefined ? undefined : readAuthFile(auth),
  };
}

/** Where a symlink points to; "" for another file. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (errnoCode(error) === "EINVAL") return "";
    throw error;
  }
}

function writeProblem(path: string): string | undefined {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return errnoCode(error) ?? "unknown error";
  }
}

/** Parses the lines of subuid(5) that name a range. Pure. */
export function parseSubIds(file: SubIds["file"], text: string): SubIds[] {
  return text.split("\n").flatMap((line) => {
    const [, user = "", first = "", count = ""] = /^([^:#\s]+):(\d+):(\d+)\s*$/.exec(line) ?? [];
    return user === "" ? [] : [{ file, user, first: Number(first), count: Number(count) }];
  });
}

function readAuthFile(path: string): AuthFileFact {
  try {
    const mode = statSync(path).mode & 0o7777;
    const valid = isRecord(parseJson(readFileSync(path, "utf8")));
    return { path, mode, ...(valid ? {} : { problem: "it is not a JSON object as docker login writes it" }) };
  } catch (error) {
    const code = errnoCode(error) ?? "unknown error";
    return { path, mode: 0, problem: code === "ENOENT" ? "it does not exist" : `it cannot be read (${code})` };
  }
}

/** Evaluates them. Pure. */
export function systemFindings(facts: SystemFacts): Finding[] {
  return [run(facts), inotify(facts), ...subIds(facts), ...machined(facts), clock(facts), ...authFile(facts)];
}

function run({ run: problem }: SystemFacts): Finding {
  const report = about("/run");
  if (problem === undefined) return report.ok("/run can be written to: it has the records of running tasks.");
  return report.error(
    `/run cannot be written to (${problem}): no task can be started.`,
    "Mount a tmpfs there, or make it writable.",
    problem === "EROFS" ? ["mount -o remount,rw /run"] : [],
  );
}

/** The kernel's default (fs/notify/inotify/inotify_user.c). */
const INOTIFY_INSTANCES = 128;

function inotify({ inotifyInstances: most }: SystemFacts): Finding {
  const report = about("inotify");
  if (most === undefined || most >= INOTIFY_INSTANCES) {
    return report.ok("The limit of inotify instances is that of the kernel or higher.");
  }
  return report.warning(
    `fs.inotify.max_user_instances is ${most}: each booted system needs several, and fails with "Too many open files" without them.`,
    "Set a higher limit, also in /etc/sysctl.d.",
    ["sysctl -w fs.inotify.max_user_instances=1024"],
  );
}

/** The IDs that systemd reserves for containers (systemd's docs/UIDS-GIDS.md). */
const CONTAINER_IDS = { first: 524_288, last: 1_879_048_191 } as const;
/** The first subordinate ID that useradd gives (login.defs(5), SUB_UID_MIN). */
const FIRST_SUB_ID = 100_000;

function subIds({ subIds: all }: SystemFacts): Finding[] {
  const report = about("user IDs");
  const inRange = ({ first, count }: SubIds) =>
    first + count > CONTAINER_IDS.first && first <= CONTAINER_IDS.last && count > 0;
  const clashes = all.filter(inRange);
  if (clashes.length === 0) {
    return [report.ok("No user has subordinate IDs among those of containers (524288 to 1879048191).")];
  }
  return clashes.map(({ file, user, first, count }) => {
    const kind = file === "/etc/subuid" ? "subuids" : "subgids";
    const free = freeSubIds(
      all.filter((each) => each.file === file),
      count,
    );
    return report.warning(
      `User ${user} has the subordinate IDs ${first} to ${first + count - 1} in ${file}: a container that gets the same IDs can access files of that user's own containers.`,
      "Give the user IDs below 524288, and let its program move what it has (podman system migrate).",
      free === undefined
        ? []
        : [`usermod --del-${kind} ${first}-${first + count - 1} --add-${kind} ${free}-${free + count - 1} ${user}`],
    );
  });
}

/** The first of so many free subordinate IDs below those of containers. */
function freeSubIds(taken: readonly SubIds[], count: number): number | undefined {
  const starts = [FIRST_SUB_ID, ...taken.map((each) => each.first + each.count)].sort((one, two) => one - two);
  return starts.find(
    (start) =>
      start >= FIRST_SUB_ID &&
      start + count <= CONTAINER_IDS.first &&
      taken.every((each) => start + count <= each.first || start >= each.first + each.count),
  );
}

function machined({ maskedMachined }: SystemFacts): Finding[] {
  if (!maskedMachined) return [];
  return [
    about("machined").error(
      "systemd-machined is masked: systemd-nspawn cannot register containers, and does not start them.",
      "Unmask it.",
      ["systemctl unmask systemd-machined.service", "systemctl unmask --runtime systemd-machined.service"],
    ),
  ];
}

function clock({ now, built }: SystemFacts): Finding {
  const report = about("clock");
  if (built === undefined || now >= built) return report.ok("The clock is later than the driver's build.");
  return report.warning(
    `The clock says ${new Date(now).toISOString().slice(0, 10)}, before this driver was built: certificates of registries are not valid yet.`,
    "Set the clock, and let it be synchronized.",
    ["timedatectl set-ntp true"],
  );
}

function authFile({ authFile: found }: SystemFacts): Finding[] {
  if (found === undefined) return [];
  const report = about("registry credentials");
  const { path, mode, problem } = found;
  if (problem !== undefined) {
    return [
      report.warning(
        `auth.config = "${path}" cannot be used: ${problem}. Images that need credentials cannot be fetched.`,
        "Write it with docker login or podman login --authfile, or correct the option.",
      ),
    ];
  }
  if ((mode & 0o077) === 0) return [report.ok(`Registry credentials are read from ${path}.`)];
  return [
    report.warning(
      `${path} has passwords of registries and its mode is ${mode.toString(8)}: other users can read it.`,
      "Let root alone read it.",
      [`chown root:root ${path}`, `chmod 600 ${path}`],
    ),
  ];
}
