import { describe, expect, test } from "bun:test";
import { chmod, chown, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { exec } from "../support/exec";
import { type Fixture, shell, useFixture } from "./fixture";
import { type HostPaths, owner, runTask, useHostPaths } from "./host-paths";
import { sentence } from "./inside";

/** File ownership on both sides of a mount, in containers with their own user IDs: the default. */

let bench: Fixture;
let places: HostPaths;
useHostPaths((opened) => {
  places = opened;
});
useFixture((opened) => {
  bench = opened;
});

const volume = (hostPath: string, more: object = {}) => ({
  mounts: [{ hostPath, taskPath: "/data", propagationMode: "private", ...more }],
});

describe("the task's directories", () => {
  const write =
    "cat /secrets/token && echo a > /alloc/f && echo l >> /local/f && echo s > /secrets/f && mkdir /local/d && chown 1000 /alloc/f && echo all";

  test("belong to the container's root inside, and to the host's root outside", async () => {
    const { task, stdout, stderr, events } = await runTask(bench, shell(bench.busybox, write), async ({ dirs }) => {
      await writeFile(join(dirs.secrets, "token"), "t\n", { mode: 0o600 });
      await writeFile(join(dirs.local, "f"), "", { mode: 0o644 });
    });
    expect(stderr).toBe("");
    expect(stdout).toBe("t\nall\n");
    expect(await owner(join(task.dirs.secrets, "f"))).toBe("0:0 644");
    expect(await owner(join(task.dirs.local, "d"))).toBe("0:0 755");
    expect(await owner(join(task.dirs.alloc, "f"))).toBe("1000:0 644");
    expect(events.join()).not.toContain("nobody");
  });

  test("as Nomad creates them (owned by nobody, open to all), for a user of the image too", async () => {
    const script = "echo l > /local/f && echo s > /secrets/f && ls -ln /local/f | cut -d' ' -f1-12";
    const { task, stdout } = await runTask(bench, shell(bench.busybox, script, { user: "app" }), async ({ dirs }) => {
      for (const directory of [dirs.local, dirs.secrets]) {
        await chmod(directory, 0o777);
        await chown(directory, 65_534, 65_534);
      }
    });
    expect(stdout).toMatch(/1000 +1000/);
    expect(await owner(join(task.dirs.local, "f"))).toBe("1000:1000 644");
  });

  test.each([
    ["user_namespacing = false", { user_namespacing: false }],
    ["private_users = identity", { private_users: "identity" }],
    ["a fixed range", { private_users: "1310720:65536" }],
    ["a range from 0", { private_users: "0:65536" }],
  ])("with %s", async (_name, more) => {
    const { task, stdout, stderr } = await runTask(bench, shell(bench.busybox, write, more), ({ dirs }) =>
      writeFile(join(dirs.secrets, "token"), "t\n", { mode: 0o600 }),
    );
    expect(stderr).toBe("");
    expect(stdout).toBe("t\nall\n");
    expect(await owner(join(task.dirs.local, "d"))).toBe("0:0 755");
  });

  test("have the same owners for commands that run in it later", async () => {
    const task = await bench.started(shell(bench.busybox, "echo up; while :; do sleep 1; done"));
    await task.stdout.waitFor("up");
    expect(await exec(bench.client(), task.id, "echo x > /local/x && echo y > /secrets/y && echo both")).toMatchObject({
      stdout: "both\n",
    });
    expect(await owner(join(task.dirs.secrets, "y"))).toBe("0:0 644");
  });

  test("with relative binds, also those with their own option", async () => {
    const bind = { "local/own": "/own", "local/kept": "/kept:noidmap" };
    const script = "touch /own/f && ls -ldn /kept /own/f | tr -s ' ' | cut -d' ' -f3,4; touch /kept/f || echo refused";
    const { stdout } = await runTask(bench, shell(bench.busybox, script, { bind }), async ({ dirs }) => {
      for (const name of ["own", "kept"])
        await places.mount("tmpfs", join(dirs.local, name)).then((path) => chmod(path, 0o755));
    });
    expect(stdout).toBe("65534 65534\n0 0\nrefused\n");
  });
});

describe("a file system that cannot map owners", () => {
  test("is reported in a task event, and readable as far as it is open to all", async () => {
    const script = "cat /secrets/open; cat /secrets/closed || echo closed; echo x > /secrets/new && echo wrote";
    const { task, code, stdout, events } = await runTask(bench, shell(bench.busybox, script), async ({ dirs }) => {
      // Like tmpfs before Linux 6.3.
      await places.mount("ramfs", dirs.secrets);
      await chmod(dirs.secrets, 0o777);
      await writeFile(join(dirs.secrets, "open"), "o\n", { mode: 0o644 });
      await writeFile(join(dirs.secrets, "closed"), "c\n", { mode: 0o600 });
    });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "o\nclosed\nwrote\n" });
    expect(events).toContain(
      "Files at /secrets will appear as owned by nobody (65534) in the container, because their owners cannot be mapped: the kernel or the file system does not support it.",
    );
    expect(await owner(join(task.dirs.secrets, "open"))).toBe("0:0 644");
  });

  test("and is closed to all others is refused with a way out", async () => {
    const closed = await places.mount("ramfs", await places.folder("closed"));
    await chmod(closed, 0o700);
    const spec = { ...shell(bench.busybox, "true"), ...volume(closed) };
    expect(await sentence(bench.start(await bench.task(spec)))).toBe(
      `The container could not use ${closed} at /data: on the host it is owned by 0:0 with mode 0700, and its owner cannot be mapped into the container's user namespace, because the kernel or the file system does not support it. Grant other users access on the host, or set user_namespacing = false.`,
    );
    const more = { user_namespacing: false };
    expect(
      (await runTask(bench, { ...shell(bench.busybox, "touch /data/f && echo ok", more), ...volume(closed) })).stdout,
    ).toBe("ok\n");
  });
});

describe("volumes", () => {
  test("belong to the same users inside and outside", async () => {
    const data = await places.folder("data", 999, 0o700);
    const { stdout, stderr } = await runTask(bench, {
      ...shell(bench.busybox, "ls -ldn /data | tr -s ' ' | cut -d' ' -f3,4; touch /data/f"),
      ...volume(data),
    });
    expect(stderr).toBe("");
    expect(stdout).toBe("999 999\n");
    expect(await owner(join(data, "f"))).toBe("0:0 644");
  });

  test("that belong to the container's IDs on the host are not mapped", async () => {
    const data = await places.folder("shifted", 1_310_720 + 1000, 0o700);
    const more = { private_users: "1310720:65536", user: "app" };
    const { stdout, stderr, events } = await runTask(bench, {
      ...shell(bench.busybox, "touch /data/f && ls -ldn /data | tr -s ' ' | cut -d' ' -f3,4", more),
      ...volume(data),
    });
    expect(stderr).toBe("");
    expect(stdout).toBe("1000 1000\n");
    expect(await owner(join(data, "f"))).toBe("1311720:1311720 644");
    expect(events.join()).not.toContain("nobody");
  });

  test("with an owner that the container does not have are reported", async () => {
    const data = await places.folder("stranger", 2_000_000, 0o777);
    const { stdout, events } = await runTask(bench, {
      ...shell(bench.busybox, "touch /data/f && echo ok"),
      ...volume(data),
    });
    expect(stdout).toBe("ok\n");
    expect(events.join("\n")).toContain("its owner 2000000:2000000 is outside the container's range of 65536 IDs");
  });

  test("with further mounts below are not mapped, and mounted completely", async () => {
    const top = await places.mount("tmpfs", await places.folder("csi"));
    await places.mount("tmpfs", join(top, "below"));
    await writeFile(join(top, "below/f"), "found\n");
    const { stdout, events } = await runTask(bench, { ...shell(bench.busybox, "cat /data/below/f"), ...volume(top) });
    expect(stdout).toBe("found\n");
    expect(events.join("\n")).toContain("other things are mounted below it");
  });
});

describe("paths of the host in bind", () => {
  test("keep their owners unless the job maps them", async () => {
    const root = await places.folder("root", 0, 0o755);
    const script = "ls -ldn /data | tr -s ' ' | cut -d' ' -f3; touch /data/f 2>/dev/null && echo wrote";
    expect((await runTask(bench, shell(bench.busybox, script, { bind: { [root]: "/data" } }))).stdout).toBe("65534\n");
    for (const word of ["idmap", "rootidmap"]) {
      const { stdout } = await runTask(bench, shell(bench.busybox, script, { bind: { [root]: `/data:${word}` } }));
      expect(stdout).toBe("0\nwrote\n");
    }
  });

  test("that cannot be mapped as asked are refused before the start", async () => {
    const ramfs = await places.mount("ramfs", await places.folder("unmappable"));
    const top = await places.mount("tmpfs", await places.folder("outer"));
    await places.mount("tmpfs", join(top, "inner"));
    const refused = async (source: string, more: object = {}) => {
      const spec = shell(bench.busybox, "true", { bind: { [source]: "/data:idmap" }, ...more });
      return sentence(bench.start(await bench.task(spec)));
    };
    expect(await refused(ramfs)).toContain(
      `"idmap" is not possible for ${ramfs} at /data: the kernel or the file system`,
    );
    expect(await refused(top)).toContain("other things are mounted below it");
    for (const more of [{ user_namespacing: false }, { private_users: "identity" }, { private_users: "0:65536" }]) {
      expect(await refused(top, more)).toContain('"idmap" at "/data" needs user namespaces');
    }
  });
});
