import { closeSync, lstatSync, openSync, readdirSync, readSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { hostPlatform } from "../../image/platform";
import { errnoCode, ifThere, isMissing } from "../../lib/errors";
import { isExecutable } from "../../linux/programs";
import { elfArchitecture } from "../../rootfs/program-platform";
import { about, type Finding } from "./finding";
import type { Directory, PluginDirectory, PluginFile } from "./host-facts";

const report = about("plugin_dir");
/** Group and others may write. */
const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/**
 * Evaluates an agent's plugin_dir: a user who can write to it, or to a directory above it, can run code as root.
 *
 * @param self executable to install if the directory has none
 */
export function pluginDirFindings(found: PluginDirectory, self: string): Finding[] {
  if ("problem" in found) {
    const { path, problem } = found;
    const make = [`mkdir -p -m 755 ${path}`, `install -o root -g root -m 755 ${self} ${path}/nspawn`];
    const commands = problem === missing(path) ? make : [];
    return [report.error(problem, "It has to be a directory with the driver in it.", commands)];
  }
  return [
    ...found.directories.flatMap(directoryFindings),
    ...filesFindings(found.path, found.files, self),
    ...othersFindings(found.path, found.others),
  ];
}

/** More plugins than any agent has: it is a directory of the system's programs. */
const MOST_PLUGINS = 25;

function othersFindings(path: string, others: number): Finding[] {
  if (others <= MOST_PLUGINS) return [];
  return [
    report.warning(
      `${path} contains ${others} other programs, and an agent starts each of them to ask whether it is a plugin.`,
      "Set plugin_dir to a directory that contains plugins only.",
    ),
  ];
}

/** In a sticky directory other users cannot replace root's files, but can add files: fine for parents of a plugin_dir only. */
function directoryFindings({ path, owner, mode }: Directory, index: number): Finding[] {
  const sealed = (mode & WRITABLE_BY_OTHERS) === 0 || (index > 0 && (mode & STICKY) !== 0);
  const safe = owner === 0 && sealed;
  if (safe) return [];
  const who = owner === 0 ? "users other than root" : `user ${owner}`;
  return [
    report.error(`${path} is writable by ${who}, who could run code as root.`, "Let root alone write to it.", [
      `chown root:root ${path}`,
      `chmod go-w ${path}`,
    ]),
  ];
}

function filesFindings(path: string, files: readonly PluginFile[], self: string): Finding[] {
  if (files.length === 0) {
    return [
      report.error(
        `${path} contains no nspawn driver (a file named nspawn or nomad-driver-nspawn).`,
        "Install this one.",
        [`install -o root -g root -m 755 ${self} ${path}/nspawn`],
      ),
    ];
  }
  const several: Finding[] =
    files.length === 1
      ? []
      : [
          report.warning(
            `${path} contains the driver more than once: ${files.map(({ name }) => name).join(", ")}.`,
            "Keep one: the agent loads each one that a plugin block names, and uses the newest.",
          ),
        ];
  return [...several, ...files.map((file) => fileFinding(path, file, self))];
}

function fileFinding(path: string, { name, owner, mode, executable, suitable }: PluginFile, self: string): Finding {
  const file = `${path}/${name}`;
  if (owner !== 0 || (mode & WRITABLE_BY_OTHERS) !== 0) {
    return report.error(`${file} is writable by users other than root.`, "Let root alone write to it.", [
      `chown root:root ${file}`,
      `chmod 755 ${file}`,
    ]);
  }
  if (!executable) {
    return report.error(
      `${file} is not executable: its mode is ${mode.toString(8)}, or its file system is mounted noexec.`,
      "Make it executable; a file system with noexec has to be mounted again without it.",
      (mode & 0o111) === 0 ? [`chmod 755 ${file}`] : [`mount -o remount,exec ${path}`],
    );
  }
  if (!suitable) {
    return report.error(
      `${file} is not a program for this machine (${process.arch}): its download is for another one, or is incomplete.`,
      "Replace it by a rename, because a running plugin may use it.",
      [`install -o root -g root -m 755 ${self} ${path}/.nspawn.new`, `mv ${path}/.nspawn.new ${file}`],
    );
  }
  return report.ok(`${file} is installed; its block in the agent's config is plugin "${name}" {}.`);
}

function missing(path: string): string {
  return `${path} does not exist.`;
}

/** Names of the executable in a plugin_dir. */
const NAMES: readonly string[] = ["nspawn", "nomad-driver-nspawn"];

/** Inspects a plugin_dir as an agent does: symlinks are followed. */
export function readPluginDirectory(path: string): PluginDirectory {
  try {
    const real = realpathSync(path);
    if (!lstatSync(real).isDirectory()) return { path, problem: `${path} is not a directory.` };
    const entries = new Set(readdirSync(real));
    const files = NAMES.filter((name) => entries.has(name)).flatMap((name) => readFile(real, name));
    const others = [...entries].filter((name) => !NAMES.includes(name) && isExecutable(join(real, name))).length;
    return { path, files, others, directories: upwards(real).map(readDirectory) };
  } catch (error) {
    if (isMissing(error)) return { path, problem: missing(path) };
    const code = errnoCode(error);
    if (code === undefined) throw error;
    return { path, problem: `${path} cannot be read (${code}).` };
  }
}

/** A dangling symlink counts as no file. */
function readFile(directory: string, name: string): PluginFile[] {
  const path = join(directory, name);
  return ifThere(() => {
    const { uid, mode } = statSync(path);
    return [
      { name, owner: uid, mode: mode & 0o7777, executable: isExecutable(path), suitable: isForThisMachine(path) },
    ];
  }, []);
}

/** EI_CLASS of a 64-bit program (elf(5)). */
const CLASS_64 = 2;

/** Whether a file begins with the header of a 64-bit program for this machine. */
function isForThisMachine(path: string): boolean {
  const fd = openSync(path, "r");
  try {
    const header = Buffer.alloc(20);
    const whole = readSync(fd, header) === header.length;
    return whole && header[4] === CLASS_64 && elfArchitecture(header) === hostPlatform().architecture;
  } finally {
    closeSync(fd);
  }
}

function readDirectory(path: string): Directory {
  const { uid, mode } = statSync(path);
  return { path, owner: uid, mode: mode & 0o7777 };
}

function upwards(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [path] : [path, ...upwards(parent)];
}
