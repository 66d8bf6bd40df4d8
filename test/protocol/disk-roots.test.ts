/** Roots that the driver makes on disk images: the image is neither copied nor changed, is mounted once for all its tasks, and nothing stays. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { addUser, openDisk, removeUnusedDisks } from "../../src/image/store/disks";
import { openStore } from "../../src/image/store/store-format";
import { readMounts } from "../../src/linux/mount";
import { run } from "../../tools/command";
import { diskImage } from "../../tools/images/images";
import { copyTree, type Fixture, failure, shell, useFixture } from "./fixture";
import { inside, sentence } from "./inside";

/** On a disk, because a tmpfs may not support an overlay's upper directory. */
const store = `/var/tmp/disk-roots-${process.pid}`;
let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { image_store: store },
);

let directory = "";
let image = "";
let untouched = "";
/** Whether systemd-nspawn itself can use disk images here: it needs udev, and systemd-dissect does not. */
let nspawnCan = false;
beforeAll(async () => {
  directory = `${store} 50%: images`;
  await mkdir(directory);
  image = join(directory, "app.raw");
  await cp(await diskImage(), image);
  untouched = await facts(image);
  await using own = await copied();
  nspawnCan = (await bench.finished(shell(own.path, "true", writing))).code === 0;
});
afterAll(async () => {
  expect(await facts(image)).toBe(untouched);
  expect(await readdir(join(store, "containers"))).toEqual([]);
  expect(await readdir(join(store, "disks"))).toEqual([]);
  expect(disks()).toEqual([]);
  for (const path of [store, directory]) await rm(path, { recursive: true });
});

/** What would change if the image were written to. */
async function facts(path: string): Promise<string> {
  const { ino, mtimeMs, size } = await stat(path);
  const { stdout } = await run(["sha256sum", path]);
  return `${ino} ${mtimeMs} ${size} ${stdout.slice(0, 64)}`;
}

/** The disks that are mounted in the store. */
const disks = () => readMounts().filter(({ path }) => path.startsWith(`${store}/disks/`));

const kinds: readonly (readonly [string, object])[] = [
  ["ephemeral", { ephemeral: true, volatile: "no" }],
  ["overlay", { volatile: "overlay" }],
  ["ephemeral and overlay", { ephemeral: true, volatile: "overlay" }],
];
const users: readonly (readonly [string, object])[] = [
  ["picked IDs", {}],
  ["fixed IDs", { private_users: "1310720:65536" }],
  ["the host's IDs", { user_namespacing: false }],
];
const cases = kinds.flatMap(([kind, one]) => users.map(([ids, other]) => [kind, ids, { ...one, ...other }] as const));

describe("what the task sees and writes", () => {
  test.each(cases)("%s with %s", async (_kind, _ids, more) => {
    const script = [
      "echo x > /written; mkdir /var/new; echo y > /var/new/written; cat /written /var/new/written",
      "stat -c %u:%g /etc/passwd /",
      "grep -c ' / overlay' /proc/mounts",
    ].join("; ");
    expect(await inside(bench, script, { image, ...more })).toBe("x\ny\n0:0\n0:0\n1\n");
  });

  test.each(users)("read_only with %s needs no mount points", async (_ids, more) => {
    const script = "echo x 2>/dev/null > /x; echo $?; stat -c %u /etc/passwd; ls -d /alloc /made";
    const options = { image, volatile: "no", read_only: true, tmpfs: ["/made"], ...more };
    expect(await inside(bench, script, options)).toBe("1\n0\n/alloc\n/made\n");
  });

  test.each(["state", "yes"])("volatile = %j in a user namespace", async (volatile) => {
    const script = "echo x > /var/x && cat /var/x; stat -c %u /usr";
    expect(await inside(bench, script, { image, volatile })).toBe("x\n0\n");
  });

  test("a user of the image, by its name", async () => {
    expect(await inside(bench, "id -u; touch /tmp/mine && echo made", { image, user: "app" })).toBe("1000\nmade\n");
  });

  test("a limit of what it writes", async () => {
    const task = { image, volatile: "overlay", storage_limit: "4MiB" };
    const end = await bench.finished(shell(image, "dd if=/dev/zero of=/big bs=1M count=16", task));
    expect(end.code).not.toBe(0);
    expect(end.stderr).toContain("No space left on device");
  });
});

const waiting = "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done";
const discarding = { ephemeral: true, volatile: "no" };
const writing = { volatile: "no", user_namespacing: false };

/** A task that runs until it is disposed of. */
async function running(path: string, more: object = discarding): Promise<AsyncDisposable & { readonly id: string }> {
  const task = await bench.started(shell(path, waiting, { ...more }));
  await task.stdout.waitFor("up\n");
  const dispose = async () => {
    await bench.client().destroyTask(task.id, true);
  };
  return { id: task.id, [Symbol.asyncDispose]: dispose };
}

/** How systemd-nspawn refuses an image that tasks show. */
const refusal = () => (nspawnCan ? /busy/i : /udev/);

describe("many tasks on one image", () => {
  test("show one mount of it, which is removed with the last one", async () => {
    await using last = new AsyncDisposableStack();
    {
      await using tasks = new AsyncDisposableStack();
      const kinds = Array.from({ length: 8 }, (_, index) => (index < 4 ? discarding : { volatile: "overlay" }));
      const started = await Promise.all(kinds.map((more) => running(image, more)));
      for (const [index, task] of started.entries()) (index === 0 ? last : tasks).use(task);
      expect(disks()).toHaveLength(1);
    }
    expect(disks()).toHaveLength(1);
    await last.disposeAsync();
    expect(disks()).toEqual([]);
    expect(await readdir(join(store, "disks"))).toEqual([]);
  }, 60_000);

  test("keep it over an end of the plugin, and its lock", async () => {
    await using own = await copied();
    const task = await bench.task(shell(own.path, waiting, discarding));
    const handle = await bench.start(task);
    await task.stdout.waitFor("up\n");
    await bench.replacePlugin();
    await bench.client().recoverTask(handle);
    expect(await inside(bench, "echo in", { image: own.path })).toBe("in\n");
    expect(disks()).toHaveLength(1);
    expect((await bench.finished(shell(own.path, "true", writing))).err).toMatch(refusal());
    await bench.client().destroyTask(task.id, true);
    expect(disks()).toEqual([]);
  }, 60_000);

  test("is unmounted later, if a process was killed after it had removed the last root", async () => {
    const paths = await openStore(`${store}-other`);
    await using own = await copied();
    const machine = join(paths.containers, "gone");
    await mkdir(machine);
    {
      await using disk = await openDisk(paths, { path: own.path });
      await addUser(paths, disk.name, "gone");
      expect(disk.parts).toEqual([]);
    }
    const mounted = () => readMounts().filter(({ path }) => path.startsWith(paths.disks));
    expect(mounted()).toHaveLength(1);
    await removeUnusedDisks(paths);
    expect(mounted()).toHaveLength(1);
    await rm(machine, { recursive: true });
    await removeUnusedDisks(paths);
    expect(mounted()).toEqual([]);
    expect(await readdir(paths.disks)).toEqual([]);
    await rm(`${store}-other`, { recursive: true });
  });
});

describe("an image that is written to", () => {
  test("cannot be while tasks show it", async () => {
    await using own = await copied();
    {
      await using _task = await running(own.path);
      const end = await bench.finished(shell(own.path, "true", writing));
      expect(end.code).toBe(1);
      expect(end.err).toMatch(refusal());
    }
    if (!nspawnCan) return;
    expect(await inside(bench, "echo kept > /kept; cat /kept", { image: own.path, ...writing })).toBe("kept\n");
    expect(await inside(bench, "cat /kept", { image: own.path, volatile: "overlay" })).toBe("kept\n");
  }, 60_000);

  test("is copied by systemd-nspawn while its writer runs, and a task event says so", async () => {
    if (!nspawnCan) return;
    await using own = await copied();
    await using _task = await running(own.path, writing);
    const stop = new AbortController();
    const events = bench.client().taskEvents({ signal: stop.signal });
    await using reader = await running(own.path);
    expect(disks()).toEqual([]);
    const said: string[] = [];
    for await (const { taskId, message } of events) {
      if (taskId === reader.id) said.push(message);
      if (message.includes("disk image")) break;
    }
    stop.abort();
    expect(said.at(-1)).toEndWith(
      "is copied. It cannot be shown as a layer: a container that may write to it is running.",
    );
  }, 60_000);

  test("has its journal replayed in a copy, if it was not unmounted", async () => {
    await using own = await unclean();
    const script = "cat /kept; grep -c ' / overlay' /proc/mounts";
    const end = await bench.finished(shell(own.path, script, discarding));
    if (nspawnCan) expect(end).toMatchObject({ code: 1, stdout: "kept\n0\n" });
    else expect(end).toMatchObject({ code: 1, err: expect.stringMatching(refusal()) });
    expect(disks()).toEqual([]);
  }, 60_000);

  test("can be replaced: a later task sees the new one", async () => {
    await using own = await copied();
    await using _task = await running(own.path);
    const tree = await copyTree(bench.busybox, join(bench.scratch, "newer"));
    await writeFile(join(tree, "newer"), "newer\n");
    await run(["mke2fs", "-q", "-t", "ext4", "-d", tree, `${own.path}.new`, "16M"]);
    await rename(`${own.path}.new`, own.path);
    expect(await inside(bench, "cat /newer", { image: own.path, volatile: "overlay" })).toBe("newer\n");
    expect(disks()).toHaveLength(1);
  }, 60_000);
});

test("a file that is no disk image is refused, and nothing stays", async () => {
  const path = join(directory, "no.raw");
  await writeFile(path, "no file system".repeat(10_000));
  const end = await bench
    .finished(shell(path, "true", discarding))
    .catch((error: unknown) => ({ code: 1, err: String(error) }));
  expect(end.code).not.toBe(0);
  expect(disks()).toEqual([]);
});

test("an image without an operating system gets a sentence", async () => {
  const path = join(directory, "empty.raw");
  await run(["mke2fs", "-q", "-t", "ext4", path, "4M"]);
  const task = await bench.task(shell(path, "true", { ephemeral: true, volatile: "no" }));
  expect(await sentence(bench.start(task))).toContain("contains no operating system (no /usr)");
  expect(disks()).toEqual([]);
});

test("a block device", async () => {
  const device = (await run(["losetup", "--find", "--show", "--read-only", image])).stdout.trim();
  try {
    expect(await inside(bench, "echo x > /x; cat /x", { image: device, ephemeral: true, volatile: "no" })).toBe("x\n");
    expect(disks()).toEqual([]);
  } finally {
    expect(await failure(run(["losetup", "--detach", device]))).toBe("");
  }
});

/** A copy of an image whose file system is mounted: "kept" is in its journal only. */
async function unclean(): Promise<AsyncDisposable & { readonly path: string }> {
  await using own = await copied();
  const mounted = `${store}-mounted`;
  await mkdir(mounted);
  await run(["mount", "-o", "loop,commit=300", own.path, mounted]);
  try {
    await writeFile(join(mounted, "kept"), "kept\n");
    await run(["sync", "-f", mounted]);
    return await copied(own.path);
  } finally {
    await run(["umount", mounted]);
    await rm(mounted, { recursive: true });
  }
}

/** A copy of the image that a test may change. */
async function copied(from = image): Promise<AsyncDisposable & { readonly path: string }> {
  const path = join(directory, `${crypto.randomUUID()}.raw`);
  await cp(from, path);
  return { path, [Symbol.asyncDispose]: () => rm(path, { force: true }) };
}
