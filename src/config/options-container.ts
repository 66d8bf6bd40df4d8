import * as v from "valibot";
import { hostnameProblem, userNameProblem } from "./names";
import { option } from "./option";
import { choice, flag, string, strings } from "./shapes";
import { checked, climbs, filledText, normalizedPath, Problem, parsed, splitColons, text } from "./validators";

/** `--pivot-root=` as systemd-nspawn splits it: the new root, and where the old one goes. */
export interface PivotRoot {
  readonly newRoot: string;
  readonly oldRoot: string | undefined;
}

/** What runs in the container and how it begins. */
export const containerOptions = {
  image: option({
    type: { kind: "string" },
    schema: filledText,
    allowed:
      "a directory, a disk image, a block device, the name of an image known to machinectl, or that of an image for container engines",
    meaning:
      "The container's root file system: a directory, a disk image file, a block device or the name of an image known to `machinectl`; or an image for container engines (docs/images.md), `oci:/PATH:TAG` in an OCI layout directory of the client. A relative path is looked up in Nomad's plugin directory. `/` needs `ephemeral`, or `volatile` set to `yes` or `state`.",
    nspawn: "--directory=, --image=",
    example: 'image = "/var/lib/machines/debian"',
  }),
  boot: option({
    type: { kind: "bool" },
    // Without a default in Nomad's spec: that would not tell what the job says from what it does not.
    schema: v.optional(v.boolean()),
    meaning:
      "Find an init program in the image and run it as PID 1; `command` holds its arguments. By default `true`, and `false` for images made for container engines.",
    nspawn: "--boot",
  }),
  process_two: option({
    ...flag(false),
    meaning: "Run `command` as PID 2 below a small init of systemd-nspawn's own. Needs `boot = false`.",
    nspawn: "--as-pid2",
  }),
  command: option({
    ...strings(text),
    meaning: "Program and arguments to run; with `boot`, the arguments of the init program.",
    example: 'command = ["/bin/sh", "-c", "exec sleep 60"]',
  }),
  ephemeral: option({
    ...flag(false),
    meaning: "Run on a copy of the image that is removed at the end.",
    nspawn: "--ephemeral",
    switches: (on) => (on ? ["--ephemeral"] : []),
  }),
  read_only: option({
    ...flag(false),
    meaning: "Mount the image read-only.",
    nspawn: "--read-only",
    switches: (on) => (on ? ["--read-only"] : []),
  }),
  volatile: option({
    ...choice(["yes", "state", "overlay", "no"]),
    meaning:
      "How much of the image is forgotten at the end: everything but `/usr` (`yes`), `/var` alone (`state`), or every change, kept in memory meanwhile (`overlay`). `yes` and `state` together with user namespaces need systemd-nspawn 257.",
    nspawn: "--volatile=",
    switches: (mode) => [`--volatile=${mode}`],
  }),
  console: option({
    ...choice(["interactive", "read-only", "passive", "pipe"]),
    meaning:
      "How the container's standard streams are set up. Without it the output goes to `nomad alloc logs`: through a read-only console when booting, otherwise directly, with stdout and stderr apart.",
    nspawn: "--console=",
  }),
  hostname: option({
    ...string(v.pipe(filledText, checked(hostnameProblem))),
    allowed: "a host name",
    meaning: "The container's host name; without it the machine name, which is made of task name and allocation ID.",
    nspawn: "--hostname=",
    example: 'hostname = "web-1"',
    switches: (name) => [`--hostname=${name}`],
  }),
  user: option({
    ...string(v.pipe(text, checked(userNameProblem))),
    allowed: "the name or number of a user in the container",
    meaning: "User of the container the command runs as; wins over the task's own `user`.",
    nspawn: "--user=",
    example: 'user = "www-data"',
  }),
  working_directory: option({
    ...string(
      v.pipe(
        normalizedPath,
        // systemd 257 refuses these, earlier versions fail later.
        checked((path: string) =>
          /^\/+(?:proc|sys|dev)(?:\/|$)/.test(path) ? "it must not lie in /proc, /sys or /dev" : undefined,
        ),
      ),
    ),
    allowed: "an absolute path in the container",
    meaning: "Directory of the container the command starts in.",
    nspawn: "--chdir=",
    example: 'working_directory = "/srv"',
    switches: (path) => [`--chdir=${path}`],
  }),
  pivot_root: option({
    ...string(v.pipe(text, parsed(parsePivotRoot))),
    allowed: '"NEW" or "NEW:OLD", both absolute paths without ".."',
    meaning:
      "Directory of the image that becomes the root of the container; after a colon, the directory where the original root appears. With user namespaces the owners of the image's files are changed, unless `private_users_ownership` is `off`.",
    nspawn: "--pivot-root=",
    example: 'pivot_root = "/ostree/deploy:/sysroot"',
    switches: ({ newRoot, oldRoot }) => [
      // Only the first path is unescaped by pivot_root_parse(); the second is taken as it is.
      `--pivot-root=${newRoot.replace(/[\\:]/g, "\\$&")}${oldRoot === undefined ? "" : `:${oldRoot}`}`,
    ],
  }),
};

function parsePivotRoot(value: string): PivotRoot | Problem {
  const [newRoot = "", oldRoot] = splitColons(value, 2);
  for (const path of oldRoot === undefined ? [newRoot] : [newRoot, oldRoot]) {
    if (!path.startsWith("/")) return new Problem("it must be an absolute path, or two separated by a colon");
    if (climbs(path)) return new Problem('it must not contain ".."');
  }
  return { newRoot, oldRoot };
}
