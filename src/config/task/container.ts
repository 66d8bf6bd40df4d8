import * as v from "valibot";
import { hostnameProblem, userProblem } from "../../values/names";
import { duration } from "../duration-row";
import { option } from "../option";
import { choice, flag, string, strings, words } from "../row-types";
import { checked, climbs, filledText, normalizedPath, Problem, parsed, splitColons, text } from "../validators";

/** What runs in the container and how it is started. */
export const containerOptions = {
  image: option({
    type: { kind: "string" },
    schema: filledText,
    allowed:
      "a directory, a disk image, a block device, the name of an image known to machinectl, or the reference of a container (OCI) image",
    meaning:
      "The container's root file system: a directory, a disk image file, a block device or the name of an image known to `machinectl`; or a container (OCI) image (docs/images.md), also from a directory or an archive on the client (`oci:/PATH:TAG`, `oci-archive:/FILE:TAG`, `docker-archive:/FILE:NAME:TAG`). `local/NAME` is what an `artifact` block has put into the task's directory. Other relative paths are resolved in Nomad's plugin directory. `/` needs `ephemeral`, or `volatile` set to `yes` or `state`.",
    nspawn: "--directory=, --image=",
    example: 'image = "/var/lib/machines/debian"',
  }),
  boot: option({
    type: { kind: "bool" },
    // No default in Nomad's spec: with one, a value that the job sets could not be distinguished from an absent one.
    schema: v.optional(v.boolean()),
    meaning:
      "Find an init program in the image and run it as PID 1; `command` holds its arguments. The default is `true`, and `false` for container (OCI) images.",
    nspawn: "--boot",
  }),
  process_two: option({
    ...flag(false),
    meaning: "Run `command` as PID 2, with systemd-nspawn's own minimal init as PID 1. Needs `boot = false`.",
    nspawn: "--as-pid2",
  }),
  init: option({
    ...flag(false),
    meaning:
      "The same as `process_two`, under the name that the Docker driver uses: a minimal init as PID 1 reaps the processes that the command leaves behind.",
    nspawn: "--as-pid2",
  }),
  command: option({
    ...words(text),
    meaning:
      "Program to run and its arguments; with `boot`, the arguments of the init program. It replaces the Entrypoint and Cmd of a container (OCI) image, and is its Cmd if `entrypoint` is given.",
    example: 'command = ["/bin/sh", "-c", "exec sleep 60"]',
  }),
  args: option({
    ...strings(text),
    meaning:
      "Further arguments, after those of `command`. Without `command` they replace the Cmd of a container (OCI) image, and its Entrypoint gets them.",
    example: 'args = ["--config.file=/local/prometheus.yml"]',
  }),
  entrypoint: option({
    ...words(text),
    meaning:
      "Replaces the Entrypoint of a container (OCI) image, and its Cmd by that of the job; `command` and `args` follow it. Needs `boot = false`.",
  }),
  ephemeral: option({
    ...flag(false),
    meaning:
      "Discard all changes when the task ends. A directory is not copied: changes go to a layer of the task's own in `image_store`, where kernel and file system allow it (docs/images.md).",
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
      "Which changes are discarded when the task ends: `yes` mounts only `/usr` of the image, `state` replaces only `/var` (by a tmpfs), `overlay` keeps every change in memory (at most 25 % of the host's). For disk images, `yes` and `state` together with user namespaces need systemd-nspawn 257.",
    nspawn: "--volatile=",
    switches: (mode) => [`--volatile=${mode}`],
  }),
  tmp: option({
    ...choice(["tmpfs", "disk"]),
    meaning:
      "What `/tmp` is: a `tmpfs` of at most 10 % of the host's memory, which counts as the task's memory, or the directory of the root file system (`disk`), with the image's content. The default is `disk` for container (OCI) images, and for directories with `ephemeral` or `volatile = \"overlay\"` (docs/images.md), otherwise `tmpfs`.",
    example: 'tmp = "disk"',
  }),
  console: option({
    ...choice(["interactive", "read-only", "passive", "pipe"]),
    meaning:
      "How the container's standard streams are set up. By default the output goes to `nomad alloc logs`: through a read-only console when booting, otherwise directly, with stdout and stderr separate. A booted system then starts no login prompt (`console-getty.service`).",
    nspawn: "--console=",
  }),
  journal: option({
    ...choice(["stdout", "stderr", "off"]),
    meaning:
      "Where the journal of a booted system goes, in which its services log: into `nomad alloc logs`, as lines `UNIT: MESSAGE` among those of the console, or nowhere (`off`). `stdout` by default with `boot`; needs `journalctl` in the image (docs/logging.md).",
    example: 'journal = "stderr"',
  }),
  notify_ready: option({
    ...flag(false),
    meaning:
      "The task's start waits until the container reports that it is ready: a booted system that it is up, a command with `sd_notify(3)` that it works. Until then Nomad shows the task as pending and cannot stop it. Not with `process_two`.",
    nspawn: "--notify-ready=",
    switches: (on) => (on ? ["--notify-ready=yes"] : []),
  }),
  ready_timeout: option({
    ...duration("5m", 1000),
    meaning:
      "How long a start with `notify_ready` waits. Then the start fails with the units that are still being started, and Nomad tries again by the job's restart policy.",
    example: 'ready_timeout = "90s"',
  }),
  hostname: option({
    ...string(v.pipe(filledText, checked(hostnameProblem))),
    allowed: "a host name",
    meaning: "The container's host name; by default the machine name, which consists of task name and allocation ID.",
    nspawn: "--hostname=",
    example: 'hostname = "web-1"',
    switches: (name) => [`--hostname=${name}`],
  }),
  timezone: option({
    ...choice(["off", "copy", "bind", "symlink", "delete", "auto"]),
    meaning:
      "How the container's `/etc/localtime` gets the time zone of the host; systemd-nspawn's default is `auto`. `copy`, `symlink` and `delete` change the image's file.",
    nspawn: "--timezone=",
    example: 'timezone = "off"',
    switches: (mode) => [`--timezone=${mode}`],
  }),
  personality: option({
    ...choice(["x86", "x86-64"]),
    meaning:
      "The architecture that `uname(2)` reports in the container: `x86` for programs of 32 bits. Only on clients with x86-64 processors.",
    nspawn: "--personality=",
    example: 'personality = "x86"',
    switches: (name) => [`--personality=${name}`],
  }),
  suppress_sync: option({
    ...flag(false),
    meaning:
      "Make `sync(2)`, `fsync(2)` and the like do nothing in the container: faster, and what was written last is lost if the host loses power. Needs systemd-nspawn 250.",
    nspawn: "--suppress-sync=",
    switches: (on) => (on ? ["--suppress-sync=yes"] : []),
  }),
  machine_id: option({
    ...choice(["task", "image"]),
    meaning:
      "The container's machine ID (`machine-id(5)`): one of the task's own, made of the allocation's ID and the task's name and the same after each restart (`task`, the default), or what the image's `/etc/machine-id` says (`image`). A disk image that the task changes keeps its ID, if it has one.",
    nspawn: "--uuid=",
    example: 'machine_id = "image"',
  }),
  user: option({
    ...string(v.pipe(text, checked(userProblem))),
    allowed: "a user of the container, USER or USER:GROUP, each a name or a number",
    meaning:
      "User in the container that the command runs as; overrides the task's own `user`. As with Docker: `USER` has the groups that the container's `/etc/group` gives it, `USER:GROUP` only that group, and a number without an entry in `/etc/passwd` has the group 0. Disk images and users of other databases need `getent` in the image, and cannot have a `:GROUP`.",
    nspawn: "--user=",
    example: 'user = "www-data"',
  }),
  group_add: option({
    ...strings(v.pipe(filledText, checked(groupProblem))),
    allowed: "a list of groups of the container, each a name or a number",
    meaning:
      "Further groups of the command's user, as with Docker. Needs `boot = false`, and a directory or container (OCI) image.",
    example: 'boot = false\ngroup_add = ["video", "44"]',
  }),
  working_directory: option({
    ...string(v.pipe(normalizedPath, checked(workingDirectoryProblem))),
    allowed: "an absolute path in the container",
    meaning: "Working directory of the command in the container.",
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
      // pivot_root_parse() unescapes only the first path, not the second.
      `--pivot-root=${newRoot.replace(/[\\:]/g, "\\$&")}${oldRoot === undefined ? "" : `:${oldRoot}`}`,
    ],
  }),
};

function groupProblem(name: string): string | undefined {
  return name.includes(":") || userProblem(name) !== undefined ? "it must be the name or number of a group" : undefined;
}

/** systemd 257 rejects these; earlier versions fail later. */
function workingDirectoryProblem(path: string): string | undefined {
  return /^\/+(?:proc|sys|dev)(?:\/|$)/.test(path) ? "it must not be in /proc, /sys or /dev" : undefined;
}

/** `--pivot-root=` as systemd-nspawn splits it: the new root, and where the old one goes. */
function parsePivotRoot(value: string) {
  const [newRoot = "", oldRoot] = splitColons(value, 2);
  for (const path of oldRoot === undefined ? [newRoot] : [newRoot, oldRoot]) {
    if (!path.startsWith("/")) return new Problem("it must be an absolute path, or two separated by a colon");
    if (climbs(path)) return new Problem('it must not contain ".."');
  }
  return { newRoot, oldRoot };
}
