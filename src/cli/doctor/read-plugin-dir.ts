import { lstatSync, readdirSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoCode, isMissing } from "../../host/errno";
import { isExecutable } from "../../host/programs";
import type { Directory, PluginDirectory, PluginFile } from "./facts";

/** Names of the executable in a plugin_dir. */
const names = ["nspawn", "nomad-driver-nspawn"] as const;

/** Inspects a plugin_dir as an agent does: symlinks are followed. */
export function readPluginDirectory(path: string): PluginDirectory {
  try {
    const real = realpathSync(path);
    if (!lstatSync(real).isDirectory()) return { path, problem: `${path} is not a directory.` };
    const entries = new Set(readdirSync(real));
    const files = names.filter((name) => entries.has(name)).flatMap((name) => readFile(real, name));
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
  try {
    const { uid, mode } = statSync(path);
    return [{ name, owner: uid, mode: mode & 0o7777, executable: isExecutable(path) }];
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
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
