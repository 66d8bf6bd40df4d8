/** Disk images that dm-verity protects: this machine's kernel has it, that of the others does not. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tasksOf } from "../../src/cli/validate/job-file";
import { run } from "../../tools/command";
import { type Fixture, shell, useFixture } from "../protocol/fixture";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

const MARK = "content that a block of the image has";
let directory = "";
let data = "";
let hashes = "";
let hash = "";
beforeAll(async () => {
  directory = await mkdtemp("/var/tmp/verity-");
  const tree = join(directory, "tree");
  await cp(bench.busybox, tree, { recursive: true, verbatimSymlinks: true });
  await writeFile(join(tree, "mark"), MARK.repeat(300));
  // Mount points cannot be made in a root that is verified.
  for (const name of ["alloc", "local", "secrets"]) await mkdir(join(tree, name), { recursive: true });
  for (const name of ["resolv.conf", "hosts", "localtime"]) await writeFile(join(tree, "etc", name), "", { flag: "a" });
  data = join(directory, "data.raw");
  hashes = join(directory, "data.verity");
  // With blocks as large as those of dm-verity: a file system with smaller ones cannot be mounted from it.
  await run(["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", tree, data, "24M"]);
  const { stdout } = await run(["veritysetup", "format", data, hashes]);
  hash = /^Root hash:\s*([0-9a-f]{64})$/m.exec(stdout)?.[1] ?? "";
}, 120_000);
afterAll(() => rm(directory, { recursive: true, force: true }));

const finished = (image: string, more: object, script = "head -c 37 /mark") =>
  bench.finished(shell(image, script, { volatile: undefined, read_only: true, ...more }));

/** A copy of a file with one byte changed where a text is for the last time. */
async function withOneByte(file: string, at: (bytes: Buffer) => number): Promise<string> {
  const copy = `${file}.changed.raw`;
  await cp(file, copy);
  const position = at(await readFile(copy));
  const opened = await open(copy, "r+");
  try {
    const { buffer } = await opened.read(Buffer.alloc(1), 0, 1, position);
    await opened.write(Buffer.from([buffer.readUInt8(0) ^ 1]), 0, 1, position);
  } finally {
    await opened.close();
  }
  return copy;
}

test("an image with the right root hash runs, with hashes in a file of their own", async () => {
  expect(await finished(data, { root_hash: hash, verity_data: hashes })).toMatchObject({ code: 0, stdout: MARK });
}, 120_000);

test("so does the example job", async () => {
  const text = await readFile(join(import.meta.dir, "../../examples/sealed-image.hcl"), "utf8");
  const [task] = tasksOf(text, { image: data, hashes, root_hash: hash });
  expect(await bench.finished({ config: { ...task?.config } })).toMatchObject({ code: 0, stdout: MARK });
}, 120_000);

test("one with another root hash does not", async () => {
  const other = `${hash.startsWith("0") ? "1" : "0"}${hash.slice(1)}`;
  expect((await finished(data, { root_hash: other, verity_data: hashes })).code).not.toBe(0);
}, 120_000);

test("a changed byte is not read: the program gets an error, and a file system with one in its head is not mounted", async () => {
  const inFile = await withOneByte(data, (bytes) => bytes.lastIndexOf(MARK));
  const read = await finished(
    inFile,
    { root_hash: hash, verity_data: hashes },
    "cat /mark > /dev/null; echo $?; head -n 1 /etc/group",
  );
  expect(read.stdout).toMatch(/^1\nroot:/);
  expect(read.stderr).toContain("Input/output error");
  const inHead = await withOneByte(data, () => 1024 + 4);
  const end = await finished(inHead, { root_hash: hash, verity_data: hashes });
  expect(end.code).not.toBe(0);
}, 240_000);

test("a discoverable disk image of systemd-repart runs with its root hash, and only with it", async () => {
  const definitions = join(directory, "repart.d");
  await mkdir(definitions);
  const common = "[Partition]\nVerityMatchKey=root\n";
  const copy = `Format=ext4\nCopyFiles=${join(directory, "tree")}:/\nSizeMinBytes=24M\nVerity=data\n`;
  await writeFile(join(definitions, "10-root.conf"), `${common}Type=root\n${copy}`);
  await writeFile(join(definitions, "20-verity.conf"), `${common}Type=root-verity\nVerity=hash\nSizeMinBytes=8M\n`);
  const image = join(directory, "discoverable.raw");
  const { stdout } = await run([
    ...["systemd-repart", "--empty=create", "--size=auto", "--offline=yes", "--dry-run=no", "--json=short"],
    ...[`--definitions=${definitions}`, image],
  ]);
  const root: unknown = JSON.parse(stdout)[0].roothash;
  expect(root).toMatch(/^[0-9a-f]{64}$/);
  const policy = "root=verity:=absent";
  expect(await finished(image, { root_hash: root, image_policy: policy })).toMatchObject({ code: 0, stdout: MARK });
  const overlay = { root_hash: root, read_only: false, volatile: "overlay", user_namespacing: false };
  expect(await finished(image, overlay)).toMatchObject({ code: 0, stdout: MARK });
  const changed = await withOneByte(image, (bytes) => bytes.lastIndexOf(MARK));
  const read = await finished(changed, { root_hash: root }, "cat /mark > /dev/null; echo $?");
  expect(read.stdout).toBe("1\n");
  const none = await finished(image, { root_hash: hash });
  expect(none.code).not.toBe(0);
}, 240_000);
