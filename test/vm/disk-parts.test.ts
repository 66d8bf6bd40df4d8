/** Roots on a disk image with several partitions, which only this machine's kernel shows of a loop device. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { journalState } from "../../src/image/disk/journal";
import { readMounts } from "../../src/linux/mount";
import { run } from "../../tools/command";
import { type Fixture, shell, useFixture } from "../protocol/fixture";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

let directory = "";
let image = "";
let untouched = "";
beforeAll(async () => {
  directory = await mkdtemp("/var/tmp/disk-parts-");
  const tree = join(directory, "tree");
  await cp(bench.busybox, tree, { recursive: true, verbatimSymlinks: true });
  for (const name of ["home", "efi", "srv"]) await mkdir(join(tree, name), { recursive: true });
  await mkdir(join(directory, "people"));
  await writeFile(join(directory, "people", "of-home"), "home\n");
  await writeFile(join(directory, "fat"), fileSystemWith("MARK", "of the firmware's partition\n"));
  image = await partitioned(tree);
  untouched = await digest();
}, 240_000);
afterAll(async () => {
  expect(await digest()).toBe(untouched);
  expect(readMounts().filter(({ path }) => path.includes("/disks/"))).toEqual([]);
  await rm(directory, { recursive: true });
}, 60_000);

const digest = async () => (await run(["sha256sum", image])).stdout.slice(0, 64);

/** A discoverable disk image with a root, a home partition and one of the firmware. */
async function partitioned(tree: string): Promise<string> {
  const definitions = join(directory, "repart.d");
  await mkdir(definitions);
  const partitions = [
    `Type=root\nFormat=ext4\nCopyFiles=${tree}:/\nSizeMinBytes=24M\n`,
    `Type=home\nFormat=ext4\nCopyFiles=${join(directory, "people")}:/\nSizeMinBytes=8M\n`,
    `Type=esp\nCopyBlocks=${join(directory, "fat")}\n`,
  ];
  for (const [index, text] of partitions.entries()) {
    await writeFile(join(definitions, `${index}0.conf`), `[Partition]\n${text}`);
  }
  const path = join(directory, "parts.raw");
  const common = ["--empty=create", "--size=auto", "--offline=yes", "--dry-run=no"];
  await run(["systemd-repart", ...common, `--definitions=${definitions}`, path]);
  return path;
}

/** A FAT file system of one mebibyte with one file (Microsoft's "FAT32 File System Specification", which describes FAT12 as well). */
function fileSystemWith(name: string, content: string): Buffer {
  const sector = 512;
  const disk = Buffer.alloc(2048 * sector);
  disk.write("\xeb\x3c\x90MSDOS5.0", 0, "latin1");
  disk.writeUInt16LE(sector, 11);
  disk.writeUInt8(1, 13); // sectors of a cluster
  disk.writeUInt16LE(1, 14); // reserved sectors
  disk.writeUInt8(1, 16); // tables
  disk.writeUInt16LE(112, 17); // entries of the root directory, seven sectors
  disk.writeUInt16LE(2048, 19);
  disk.writeUInt8(0xf8, 21);
  disk.writeUInt16LE(6, 22); // sectors of the table
  disk.writeUInt8(0x29, 38);
  disk.write("ESP        FAT12   ", 43, "latin1");
  disk.write("\x55\xaa", 510, "latin1");
  // The entries of the medium, of the end, and of the file's one cluster, in 12 bits each.
  disk.write("\xf8\xff\xff\xff\x0f", sector, "latin1");
  const entry = 7 * sector;
  disk.write(name.padEnd(11), entry, "latin1");
  disk.writeUInt8(0x20, entry + 11);
  disk.writeUInt16LE(2, entry + 26);
  disk.writeUInt32LE(content.length, entry + 28);
  disk.write(content, 14 * sector, "latin1");
  return disk;
}

test("each partition is at its place in each of two tasks, shares its mount, and their changes are discarded", async () => {
  const script = [
    "cat /home/of-home /efi/mark",
    "for d in / /home /srv; do echo $d >> $d/new && cat $d/new; done",
    "stat -c %u:%g /home /home/of-home /efi/mark",
    "touch /efi/new 2> /dev/null || echo refused",
    "grep -c ' overlay ' /proc/mounts; echo up",
    "trap 'exit 0' TERM; while :; do sleep 0.2; done",
  ].join("; ");
  const kinds = [{ ephemeral: true, volatile: "no" }, { volatile: "overlay" }];
  const tasks = await Promise.all(kinds.map((more) => bench.started(shell(image, script, more))));
  for (const task of tasks) await task.stdout.waitFor("up\n", 120_000);
  const mounted = readMounts().filter(({ path }) => path.includes("/disks/"));
  expect(mounted.map(({ type }) => type).sort()).toEqual(["ext4", "ext4", "vfat"]);
  for (const { id } of tasks) await bench.client().destroyTask(id, true);
  const expected = "home\nof the firmware's partition\n/\n/home\n/srv\n0:0\n0:0\n0:0\nrefused\n2\nup\n";
  expect(await Promise.all(tasks.map(({ stdout }) => stdout.ended()))).toEqual([expected, expected]);
}, 240_000);

test("read_only: none can be written", async () => {
  const script =
    "for d in / /home /efi; do touch $d/new 2> /dev/null || echo refused; done; cat /home/of-home; ls -d /alloc";
  const end = await bench.finished(shell(image, script, { volatile: undefined, read_only: true }));
  expect(end).toMatchObject({ code: 0, stdout: "refused\nrefused\nrefused\nhome\n/alloc\n" });
}, 120_000);

test("an XFS whose log ends with an unmount is shown as it is, and one that is mounted is not", async () => {
  const path = join(directory, "xfs.raw");
  await run(["truncate", "--size=300M", path]);
  await run(["mkfs.xfs", "-q", path]);
  const mounted = join(directory, "mounted");
  await mkdir(mounted);
  const state = async (file: string) => {
    await using opened = await openFile(file);
    return await journalState("xfs", opened.read);
  };
  expect(await state(path)).toBe("clean");
  await run(["mount", "-o", "loop", path, mounted]);
  await run(["cp", "-a", `${join(directory, "tree")}/.`, mounted]);
  await run(["sync", "-f", mounted]);
  expect(await state(path)).toBe("dirty");
  await run(["umount", mounted]);
  const end = await bench.finished(
    shell(path, "grep -c ' / overlay' /proc/mounts", { ephemeral: true, volatile: "no" }),
  );
  expect(end).toMatchObject({ code: 0, stdout: "1\n" });
}, 240_000);

async function openFile(path: string) {
  const file = await open(path);
  const read = async (position: number, length: number) => {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
    return buffer.subarray(0, bytesRead);
  };
  return { read, [Symbol.asyncDispose]: () => file.close() };
}
