import type { Directory, PluginDirectory, PluginFile } from "./facts";
import type { Finding } from "./finding";

const check = "plugin_dir";
/** Group and others may write. */
const writableByOthers = 0o022;
const sticky = 0o1000;

/**
 * Judges an agent's plugin_dir: whoever can write there, or to a directory above it, decides what runs as root.
 *
 * @param self executable to install where none is there
 */
export function pluginDirFindings(found: PluginDirectory, self: string): Finding[] {
  if ("problem" in found) {
    return [{ check, level: "error", text: found.problem, fix: `mkdir -p ${found.path}; chmod 755 ${found.path}` }];
  }
  return [...found.directories.flatMap(directoryFindings), ...filesFindings(found.path, found.files, self)];
}

/** In a sticky directory others cannot replace what is root's, but they can add files: fine above a plugin_dir only. */
function directoryFindings({ path, owner, mode }: Directory, index: number): Finding[] {
  const sealed = (mode & writableByOthers) === 0 || (index > 0 && (mode & sticky) !== 0);
  const safe = owner === 0 && sealed;
  if (safe) return [];
  const who = owner === 0 ? "others than root" : `user ${owner}`;
  return [
    {
      check,
      level: "error",
      text: `${path} can be written by ${who}, who can so run programs as root.`,
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
        text: `${path} holds no nspawn driver (a file named nspawn or nomad-driver-nspawn).`,
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
            text: `${path} holds the driver more than once: ${files.map(({ name }) => name).join(", ")}.`,
            fix: "Keep one: the agent loads each that a plugin block names, and takes the newest.",
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
      text: `${file} can be changed by others than root.`,
      fix: `chown root:root ${file}; chmod 755 ${file}`,
    };
  }
  if (!executable) {
    return {
      check,
      level: "error",
      text: `${file} cannot be executed: by its mode (${mode.toString(8)}), or because it lies on a file system mounted noexec.`,
      fix: `chmod 755 ${file}, or mount the file system without noexec.`,
    };
  }
  return { check, level: "ok", text: `${file} is in place; its block in the agent's config is plugin "${name}" {}.` };
}
