/** The images of the tests and the demo: each is a recipe, built once and afterwards only copied or read. */

import { chmod, copyFile, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../command";
import { cached, type Recipe } from "./cache";
import { bootFiles, type DebianTree, idleUnits, makeDebianTree } from "./debian";
import { type HostSuite, hostImageName, testHostTree } from "./host-tree";

type Say = (line: string) => void;

const suite = "trixie";

const task: DebianTree = {
  suite,
  variant: "minbase",
  packages: ["systemd", "systemd-sysv", "dbus", "iproute2", "procps"],
  masked: [...idleUnits, "systemd-logind.service"],
  files: bootFiles,
  links: { "etc/systemd/system/default.target": "/usr/lib/systemd/system/multi-user.target" },
};

const busyboxSource: DebianTree = {
  suite,
  variant: "extract",
  packages: ["busybox-static"],
  masked: [],
  files: {},
  links: {},
};

const busyboxFiles = {
  "etc/passwd":
    "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
  "etc/group": "root:x:0:\napp:x:1000:\nnogroup:x:65534:\n",
  "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
  "etc/resolv.conf": "",
  // Empty, but needed: systemd-nspawn reports an error if it cannot mount the time zone over it.
  "etc/localtime": "",
  "usr/lib/os-release": "ID=busybox\nNAME=busybox\nPRETTY_NAME=busybox\n",
} as const;

const busyboxDirectories = ["dev", "etc", "proc", "run", "sys", "usr/bin", "usr/lib", "var/tmp"] as const;

/** The program that systemd-nspawn runs in the container for --user=, which busybox does not provide. */
const getent = `#!/bin/sh
case "$1" in
  passwd) exec grep -E "^($2:|[^:]*:[^:]*:$2:)" /etc/passwd ;;
  initgroups) echo "$2" $(grep -E "[:,]$2(,|$)" /etc/group | cut -d: -f3) ;;
  *) exit 1 ;;
esac
`;

const busybox: Recipe = {
  name: "busybox",
  inputs: { busyboxSource, busyboxFiles, busyboxDirectories, getent, layout: 1 },
  build: makeBusybox,
};

const debianTask: Recipe = { name: "debian", inputs: task, build: (directory) => makeDebianTree(task, directory) };

const diskImageMegabytes = 16;

const disk: Recipe = {
  name: "disk",
  inputs: { busybox: busybox.inputs, megabytes: diskImageMegabytes },
  build: async (directory) => {
    await run([
      "mke2fs",
      "-q",
      "-t",
      "ext4",
      "-d",
      await busyboxImage(),
      join(directory, "busybox.raw"),
      `${diskImageMegabytes}M`,
    ]);
  },
};

/** A root file system of one static busybox with all its applets, users root and app (1000); 2 MB. */
export async function busyboxImage(say?: Say): Promise<string> {
  return cached(busybox, say);
}

/** A Debian with systemd that boots to multi-user.target and allows no logins. */
export async function debianImage(say?: Say): Promise<string> {
  return cached(debianTask, say);
}

/** The tree that a test host of a suite boots (see tools/machines/test-host.ts). */
export async function hostImage(say?: Say, suite: HostSuite = "trixie"): Promise<string> {
  const tree = testHostTree(suite);
  return cached(
    { name: hostImageName(suite), inputs: tree, build: (directory) => makeDebianTree(tree, directory) },
    say,
  );
}

/** The busybox tree as an ext4 file system without a partition table, in one file. */
export async function diskImage(say?: Say): Promise<string> {
  return join(await cached(disk, say), "busybox.raw");
}

async function makeBusybox(directory: string): Promise<void> {
  const source = join(directory, "source");
  await makeDebianTree(busyboxSource, source);
  for (const path of busyboxDirectories) await mkdir(join(directory, path), { recursive: true });
  for (const [path, mode] of [
    ["root", 0o700],
    ["tmp", 0o1777],
  ] as const) {
    await mkdir(join(directory, path));
    await chmod(join(directory, path), mode);
  }
  await mkdir(join(directory, "home/app"), { recursive: true });
  await run(["chown", "1000:1000", join(directory, "home/app")]);
  const program = join(directory, "usr/bin/busybox");
  await copyFile(join(source, "usr/bin/busybox"), program);
  await rm(source, { recursive: true });
  await chmod(program, 0o755);
  const { stdout } = await run([program, "--list"]);
  for (const applet of stdout.split("\n")) {
    if (applet !== "" && applet !== "busybox") await symlink("busybox", join(directory, "usr/bin", applet));
  }
  for (const link of ["bin", "sbin"]) await symlink("usr/bin", join(directory, link));
  await symlink("bin", join(directory, "usr/sbin"));
  await symlink("usr/lib", join(directory, "lib"));
  await writeFile(join(directory, "usr/bin/getent"), getent, { mode: 0o755 });
  for (const [path, content] of Object.entries(busyboxFiles)) await writeFile(join(directory, path), content);
  await symlink("../usr/lib/os-release", join(directory, "etc/os-release"));
}
