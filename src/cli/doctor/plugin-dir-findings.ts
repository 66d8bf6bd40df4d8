import type { Directory, PluginDirectory, PluginFile } from "./facts";
import type { Finding } from "./finding";

const check = "plugin_dir";
/** Group and others may write. */
const writableByOthers = 0o022;
const sticky = 0o1000;

/**
 * Evaluates an agent's plugin_dir: a user who can write to it, or to a directory above it, can run code as root.
 *
 * @param self executable to install if the directory has none
 */
export function pluginDirFindings(found: PluginDirectory, self: string): Finding[] {
  if ("problem" in found) {
    return [{ check, level: "error", text: found.problem, fix: `mkdir -p ${found.path}; chmod 755 ${found.path}` }];
  }
  return [...found.directories.flatMap(directoryFindings), ...filesFindings(found.path, found.files, self)];
}

/** In a sticky directory other users cannot replace root's files, but can add files: fine for parents of a plugin_dir only. */
function directoryFindings({ path, owner, mode }: Directory, index: number): Finding[] {
  const sealed = (mode & writableByOthers) === 0 || (index > 0 && (mode & sticky) !== 0);
  const safe = owner === 0 && sealed;
  if (safe) return [];
  const who = owner === 0 ? "users other than root" : `user ${owner}`;
  return [
    {
      check,
      level: "error",
      text: `${path} is writable by ${who}, who could run code as root.`,
      fix: `chown root:root ${path}; chmod go-w ${path}`,
    },
  ];
}

function filesFindings(path: string, files: readonly PluginFile[], self: string): Finding[] {
  if (files.length === 0) {
    return [
      {
        check,
        level: "error",
        text: `${path} contains no nspawn driver (a file named nspawn or nomad-driver-nspawn).`,
        fix: `install -o root -g root -m 755 ${self} ${path}/nspawn`,
      },
    ];
  }
  const several: Finding[] =
    files.length === 1
      ? []
      : [
          {
            check,
            level: "warning",
            text: `${path} contains the driver more than once: ${files.map(({ name }) => name).join(", ")}.`,
            fix: "Keep one: the agent loads each one that a plugin block names, and uses the newest.",
          },
        ];
  return [...several, ...files.map((file) => fileFinding(path, file))];
}

function fileFinding(path: string, { name, owner, mode, executable }: PluginFile): Finding {
  const file = `${path}/${name}`;
  if (owner !== 0 || (mode & writableByOthers) !== 0) {
    return {
      check,
      level: "error",
      text: `${file} is writable by users other than root.`,
      fix: `chown root:root ${file}; chmod 755 ${file}`,
    };
  }
  if (!executable) {
    return {
      check,
      level: "error",
      text: `${file} is not executable: its mode is ${mode.toString(8)}, or its file system is mounted noexec.`,
      fix: `chmod 755 ${file}, or mount the file system without noexec.`,
    };
  }
  return { check, level: "ok", text: `${file} is installed; its block in the agent's config is plugin "${name}" {}.` };
}
