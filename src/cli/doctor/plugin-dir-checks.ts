import { lstatSync, readdirSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoCode, ifThere, isMissing } from "../../lib/errors";
import { isExecutable } from "../../linux/programs";
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
  if ("problem" in found) return [report.error(found.problem, `mkdir -p ${found.path}; chmod 755 ${found.path}`)];
  return [...found.directories.flatMap(directoryFindings), ...filesFindings(found.path, found.files, self)];
}

/** In a sticky directory other users cannot replace root's files, but can add files: fine for parents of a plugin_dir only. */
function directoryFindings({ path, owner, mode }: Directory, index: number): Finding[] {
  const sealed = (mode & WRITABLE_BY_OTHERS) === 0 || (index > 0 && (mode & STICKY) !== 0);
  const safe = owner === 0 && sealed;
  if (safe) return [];
  const who = owner === 0 ? "users other than root" : `user ${owner}`;
  return [
    report.error(
      `${path} is writable by ${who}, who could run code as root.`,
      `chown root:root ${path}; chmod go-w ${path}`,
    ),
  ];
}

function filesFindings(path: string, files: readonly PluginFile[], self: string): Finding[] {
  if (files.length === 0) {
    return [
      report.error(
        `${path} contains no nspawn driver (a file named nspawn or nomad-driver-nspawn).`,
        `install -o root -g root -m 755 ${self} ${path}/nspawn`,
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
  return [...several, ...files.map((file) => fileFinding(path, file))];
}

function fileFinding(path: string, { name, owner, mode, executable }: PluginFile): Finding {
  const file = `${path}/${name}`;
  if (owner !== 0 || (mode & WRITABLE_BY_OTHERS) !== 0) {
    return report.error(`${file} is writable by users other than root.`, `chown root:root ${file}; chmod 755 ${file}`);
  }
  if (!executable) {
    return report.error(
      `${file} is not executable: its mode is ${mode.toString(8)}, or its file system is mounted noexec.`,
      `chmod 755 ${file}, or mount the file system without noexec.`,
    );
  }
  return report.ok(`${file} is installed; its block in the agent's config is plugin "${name}" {}.`);
}

/** Names of the executable in a plugin_dir. */
const NAMES = ["nspawn", "nomad-driver-nspawn"] as const;

/** Inspects a plugin_dir as an agent does: symlinks are followed. */
export function readPluginDirectory(path: string): PluginDirectory {
  try {
    const real = realpathSync(path);
    if (!lstatSync(real).isDirectory()) return { path, problem: `${path} is not a directory.` };
    const entries = new Set(readdirSync(real));
    const files = NAMES.filter((name) => entries.has(name)).flatMap((name) => readFile(real, name));
    return { path, files, directories: upwards(real).map(readDirectory) };
  } catch (error) {
    if (isMissing(error)) return { path, problem: `${path} does not exist.` };
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
    return [{ name, owner: uid, mode: mode & 0o7777, executable: isExecutable(path) }];
  }, []);
}

function readDirectory(path: string): Directory {
  const { uid, mode } = statSync(path);
  return { path, owner: uid, mode: mode & 0o7777 };
}

function upwards(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [path] : [path, ...upwards(parent)];
}
