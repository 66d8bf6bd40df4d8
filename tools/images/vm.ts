/** The machine that the vm level boots: a Debian with its own kernel, and therefore its own cgroups. */

import { copyFile, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../command";
import { cached, type Recipe } from "./cache";
import { bootFiles, type DebianTree, idleUnits, makeDebianTree } from "./debian";

/** The disk and kernel of a virtual machine. */
export interface VmImage {
  /** An ext4 file system without a partition table; it must not be written to. */
  readonly disk: string;
  readonly kernel: string;
}

/** Where the machine mounts the disk that is created for every start (tools/machines/vm-disk.ts), by its label. */
export const vmWork = { label: "work", mountPoint: "/mnt" } as const;

/** Name of the virtio-serial port that the agent in the machine listens on. */
export const vmPort = "test-vm";

/** Path of the agent on the work disk, below the repository. */
export const vmAgent = "test/support/vm-agent.ts";

const cacheInside = "/var/cache/nomad-driver-nspawn";
const portUnit = "dev-virtio\\x2dports-test\\x2dvm.device";

const machine: DebianTree = {
  suite: "trixie",
  variant: "minbase",
  packages: [
    "systemd",
    "systemd-sysv",
    "systemd-container",
    "busybox-static",
    "dbus",
    "iproute2",
    "procps",
    "udev",
    "e2fsprogs",
    // For AppArmor, which only this machine has: its programs compile and load profiles.
    "apparmor",
    // For project quotas on XFS, whose module its kernel has.
    "xfsprogs",
    // For dm-verity, which only this machine has: systemd-nspawn loads its library, and tests make images with the programs.
    "cryptsetup-bin",
    "systemd-repart",
    // The cloud kernel has ext4 and NVMe built in: it needs no initrd, whose unpacking costs seconds without KVM.
    "linux-image-cloud-amd64",
  ],
  // A getty on the console would wait for a device that is not needed.
  masked: [...idleUnits, "serial-getty@ttyS0.service", "systemd-logind.service", "apparmor.service"],
  files: {
    ...bootFiles,
    "etc/fstab": [
      `LABEL=${vmWork.label} ${vmWork.mountPoint} ext4 ro 0 0`,
      `${vmWork.mountPoint}/cache ${cacheInside} none bind,ro 0 0`,
      "",
    ].join("\n"),
    "etc/systemd/system/test-vm.service": [
      "[Unit]",
      "Description=Run what the test harness asks for",
      `BindsTo=${portUnit}`,
      `After=${portUnit}`,
      `RequiresMountsFor=${vmWork.mountPoint}`,
      "[Service]",
      "Type=exec",
      `ExecStart=/usr/local/bin/bun ${vmWork.mountPoint}/repository/${vmAgent} /dev/virtio-ports/${vmPort}`,
      "",
    ].join("\n"),
  },
  links: {
    "etc/systemd/system/default.target": "/usr/lib/systemd/system/multi-user.target",
    "etc/systemd/system/multi-user.target.wants/test-vm.service": "/etc/systemd/system/test-vm.service",
    "usr/local/bin/bun": `${vmWork.mountPoint}/bun`,
  },
};

/** Space for files of the tests; unused blocks take no space. */
const diskMegabytes = 2048;

const recipe: Recipe = { name: "vm", inputs: { machine, diskMegabytes }, build };

/** The machine's disk and kernel. */
export async function vmImage(say?: (line: string) => void): Promise<VmImage> {
  const directory = await cached(recipe, say);
  return { disk: join(directory, "root.raw"), kernel: join(directory, "vmlinuz") };
}

/** Creates an ext4 image of a directory. It has no journal, because no image outlives the machine that writes to it. */
export async function makeFileSystem(directory: string, image: string, megabytes: number, label = ""): Promise<void> {
  const options = ["-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-L", label, "-d", directory];
  await run(["mke2fs", ...options, image, `${megabytes}M`]);
}

async function build(directory: string): Promise<void> {
  const tree = join(directory, "tree");
  await makeDebianTree(machine, tree);
  const boot = join(tree, "boot");
  const kernel = (await readdir(boot)).find((name) => name.startsWith("vmlinuz-"));
  if (kernel === undefined) throw new Error("The machine's tree has no kernel.");
  await copyFile(join(boot, kernel), join(directory, "vmlinuz"));
  for (const name of await readdir(boot)) await rm(join(boot, name), { recursive: true });
  await makeFileSystem(tree, join(directory, "root.raw"), diskMegabytes);
  await rm(tree, { recursive: true });
}
