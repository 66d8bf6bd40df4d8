import { beforeAll, describe, expect, test } from "bun:test";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readMounts } from "../../src/linux/mount";
import { run } from "../../tools/command";
import { exec } from "../support/exec";
import type { TaskSpec } from "../support/task";
import { type Fixture, shell, useFixture } from "./fixture";
import { confinesDevices, type HostPaths, runTask, useHostPaths } from "./host-paths";
import { inside, sentence } from "./inside";

let bench: Fixture;
let places: HostPaths;
useHostPaths((opened) => {
  places = opened;
});
useFixture((opened) => {
  bench = opened;
});

/** The error of a task that cannot start. */
const refusal = async (spec: TaskSpec) => sentence(bench.start(await bench.task(spec)));

describe("devices", () => {
  /** /dev/kmsg under another name: no container may open it unless the job asks for it. Opening it has no effect. */
  const kmsg = [1, 11] as const;
  const open = (path: string) =>
    `(: < ${path}) 2>/dev/null && echo r; (: > ${path}) 2>/dev/null && echo w; ls -l ${path} | cut -c 1`;
  const asRoot = { user_namespacing: false, capability: ["CAP_SYSLOG"] };
  let node: string;
  let confined: boolean;
  beforeAll(async () => {
    node = await places.node(join(places.directory, "log"), kmsg);
    confined = await confinesDevices(node);
    console.log(`this machine ${confined ? "limits" : "does not limit"} the devices a container opens`);
  });
  /** What a container prints if its devices are limited, and if they are not. */
  const either = (limited: string, open: string) => (confined ? limited : open);

  test.each([
    ["rwm", "r\nw\nc\n"],
    ["rw", "r\nw\nc\n"],
    ["r", "r\nc\n"],
    ["w", "w\nc\n"],
  ])("with %s allow exactly that", async (permissions, said) => {
    const devices = [`${node}:/dev/mine:${permissions}`];
    expect((await runTask(bench, shell(bench.busybox, open("/dev/mine"), { ...asRoot, devices }))).stdout).toBe(
      either(said, "r\nw\nc\n"),
    );
  });

  test("that the job does not name cannot be opened, whether the container creates or finds them", async () => {
    const script = `mknod /dev/made c 1 11 2>/dev/null && { ${open("/dev/made")}; }; ${open("/dev/found")}`;
    const more = { ...asRoot, bind: { [node]: "/dev/found" } };
    expect((await runTask(bench, shell(bench.busybox, script, more))).stdout).toBe(
      either("c\nc\n", "r\nw\nc\nr\nw\nc\n"),
    );
  });

  test("do not depend on what the command looks like", async () => {
    const command = [
      "/bin/sh",
      "-c",
      "(mknod /dev/l c 10 237 && : < /dev/l) 2>/dev/null && echo open; echo end",
      "--image=/x",
    ];
    const { stdout } = await runTask(bench, shell(bench.busybox, "", { ...asRoot, command }));
    expect(stdout).toBe(either("end\n", "open\nend\n"));
  });

  test("are usable in user namespaces if they are open to all, or the file system maps owners", async () => {
    const closed = await places.node(join(places.directory, "closed"), [1, 3], 0o600);
    const devices = [`${node}:/dev/mine:w`, `${closed}:/dev/closed`];
    const script = "(: > /dev/mine) && echo open; echo x > /dev/closed && echo closed";
    expect((await runTask(bench, shell(bench.busybox, script, { devices }))).stdout).toBe("open\nclosed\n");
  });

  test("that the container's users could not open are refused, as on devtmpfs", async () => {
    const ramfs = await places.mount("ramfs", await places.folder("dev"));
    const closed = await places.node(join(ramfs, "closed"), [1, 3], 0o660);
    expect(await refusal(shell(bench.busybox, "true", { devices: [closed] }))).toContain(
      `could not use ${closed} at ${closed}: on the host it is owned by 0:0 with mode 0660`,
    );
    const readable = await places.node(join(ramfs, "readable"), [1, 3], 0o664);
    expect(await refusal(shell(bench.busybox, "true", { devices: [`${readable}:/dev/n:rw`] }))).toContain("0664");
    const script = "cat /dev/n && echo read";
    const end = await runTask(bench, shell(bench.busybox, script, { devices: [`${readable}:/dev/n:r`] }));
    expect(end.stdout).toBe("read\n");
  });

  test("are found through a symlink, and confined by its target", async () => {
    await symlink("log", join(places.directory, "link"));
    const devices = [`${join(places.directory, "link")}:/dev/mine:w`];
    expect((await runTask(bench, shell(bench.busybox, open("/dev/mine"), { ...asRoot, devices }))).stdout).toBe(
      either("w\nc\n", "r\nw\nc\n"),
    );
  });

  test("of Nomad's device plugins come with their mounts and variables", async () => {
    const library = await places.folder("library");
    await writeFile(join(library, "lib.so"), "library\n");
    const { stdout } = await runTask(bench, {
      ...shell(bench.busybox, `echo $VISIBLE; ${open("/dev/gpu0")}; cat /usr/lib/gpu/lib.so`, asRoot),
      devices: [{ hostPath: node, taskPath: "/dev/gpu0", cgroupPermissions: "rw" }],
      deviceEnv: { VISIBLE: "gpu0" },
      mounts: [{ hostPath: library, taskPath: "/usr/lib/gpu", readonly: true }],
    });
    expect(stdout).toBe("gpu0\nr\nw\nc\nlibrary\n");
  });

  test.each([
    ["a missing one", "/dev/no-such", 'Option devices asks for "/dev/no-such", which does not exist on this client.'],
    ["a directory", "/etc", 'Option devices asks for "/etc", which is not a device node: use bind.'],
    ["a file", "/etc/passwd:/dev/x", 'Option devices asks for "/etc/passwd", which is not a device node: use bind.'],
  ])("%s is refused before the start", async (_name, device, said) => {
    expect(await refusal(shell(bench.busybox, "true", { devices: [device] }))).toBe(said);
  });

  test("a plugin's missing one is refused before the start", async () => {
    const devices = [{ hostPath: "/dev/gone", taskPath: "/dev/gone", cgroupPermissions: "rw" }];
    expect(await refusal({ ...shell(bench.busybox, "true"), devices })).toBe(
      'A device plugin asks for "/dev/gone", which does not exist on this client.',
    );
  });
});

describe("volume mounts", () => {
  const at = (taskPath: string, hostPath: string, more: object = {}) => ({
    hostPath,
    taskPath,
    propagationMode: "private",
    ...more,
  });

  test("read_only applies to everything below, also for the container's root", async () => {
    const top = await places.mount("tmpfs", await places.folder("readonly"));
    const below = await places.mount("tmpfs", join(top, "below"));
    await writeFile(join(below, "f"), "f\n");
    const script =
      "for f in /data/new /data/below/new /data/below/f; do (: > $f) 2>/dev/null && echo wrote $f; done; mount -o remount,rw /data 2>/dev/null && echo remounted; cat /data/below/f";
    for (const user_namespacing of [true, false]) {
      const spec = shell(bench.busybox, script, { user_namespacing });
      const { stdout } = await runTask(bench, { ...spec, mounts: [at("/data", top, { readonly: true })] });
      // Without a user namespace the container's root may remount: it has CAP_SYS_ADMIN (docs/security.md).
      expect(stdout).toBe(user_namespacing ? "f\n" : "remounted\nf\n");
    }
  });

  test("a mount point with mounts below, as CSI plugins publish them, is mounted completely and writable", async () => {
    const top = await places.mount("tmpfs", await places.folder("csi/published"));
    await places.mount("tmpfs", join(top, "sub"));
    const script = "echo a > /data/f && echo b > /data/sub/f && cat /data/f /data/sub/f";
    const { stdout } = await runTask(bench, { ...shell(bench.busybox, script), mounts: [at("/data", top)] });
    expect(stdout).toBe("a\nb\n");
    expect(await Bun.file(join(top, "sub/f")).text()).toBe("b\n");
  });

  test("host-to-task propagates later mounts if the host shares its mounts; nothing propagates back", async () => {
    const top = await places.folder("propagated");
    await mkdir(join(top, "later"));
    await places.mount("tmpfs", join(await places.folder("shared"), "unused"));
    const spec = shell(bench.busybox, "echo up; while :; do sleep 1; done", { user_namespacing: false });
    const task = await bench.started({ ...spec, mounts: [at("/data", top, { propagationMode: "host-to-task" })] });
    await task.stdout.waitFor("up");
    const later = await places.mount("tmpfs", join(top, "later"));
    await writeFile(join(later, "f"), "later\n");
    const { stdout: shared } = await run(["findmnt", "--noheadings", "--output=PROPAGATION", "--target", top]);
    const seen = await exec(bench.client(), task.id, "cat /data/later/f || echo none");
    expect(seen.stdout).toBe(shared.trim() === "shared" ? "later\n" : "none\n");
    await exec(bench.client(), task.id, "mkdir -p /data/own && mount -t tmpfs tmpfs /data/own");
    expect(readMounts().map(({ path }) => path)).not.toContain(join(top, "own"));
    await bench.client().destroyTask(task.id, true);
  });

  test.each([
    ["bidirectional propagation", { propagationMode: "bidirectional" }, 'cannot have propagation_mode "bidirectional"'],
    ["an unknown propagation", { propagationMode: "shared" }, '"shared" of a volume_mount is unknown'],
    ["a missing path", { hostPath: "/no/such" }, "/no/such does not exist on this client"],
    ["a relative target", { taskPath: "data" }, '"data": it must be an absolute path in the container'],
    ["a directory where the job mounts something", { taskPath: "/mnt/t/" }, '"/mnt/t": one path can be mounted once'],
  ])("%s is refused before the start", async (_name, change, said) => {
    const mounts = [at("/data", "/etc", change)];
    expect(await refusal({ ...shell(bench.busybox, "true", { tmpfs: ["/mnt/t"] }), mounts })).toContain(said);
  });

  test("a single file, writable and not", async () => {
    const file = join(await places.folder("single"), "f");
    await writeFile(file, "one\n");
    const script = "cat /data/f /ro; echo two > /data/f; (echo x > /ro) 2>/dev/null || echo refused";
    const mounts = [at("/data/f", file), at("/ro", file, { readonly: true })];
    expect((await runTask(bench, { ...shell(bench.busybox, script), mounts })).stdout).toBe("one\none\nrefused\n");
    expect(await Bun.file(file).text()).toBe("two\n");
  });
});

describe("mounts over each other", () => {
  test("are nested by their paths, in any order", async () => {
    const [outer, inner] = [await places.folder("over/outer"), await places.folder("over/inner")];
    await mkdir(join(outer, "in/deep"), { recursive: true });
    await mkdir(join(inner, "deep"));
    await writeFile(join(outer, "f"), "outer\n");
    await writeFile(join(inner, "f"), "inner\n");
    const mounts = [
      { hostPath: inner, taskPath: "/data/in" },
      { hostPath: outer, taskPath: "/data" },
    ];
    const spec = shell(bench.busybox, "cat /data/f /data/in/f; grep -c ' /data/in/deep tmpfs' /proc/mounts", {
      tmpfs: ["/data/in/deep"],
    });
    expect((await runTask(bench, { ...spec, mounts })).stdout).toBe("outer\ninner\n1\n");
  });

  test("the job's mount takes precedence over a directory of Nomad", async () => {
    const own = await places.folder("own");
    await writeFile(join(own, "f"), "own\n");
    const more = { bind: { [own]: "/secrets" }, tmpfs: ["/alloc"] };
    const script = "cat /secrets/f; ls /alloc; ls -d /local";
    expect((await runTask(bench, shell(bench.busybox, script, more))).stdout).toBe("own\n/local\n");
  });
});

test("a volume at /etc/hosts or /etc/resolv.conf is the only thing that is mounted there", async () => {
  const directory = await places.folder("names");
  const mounts = [];
  for (const name of ["hosts", "resolv.conf"]) {
    await writeFile(join(directory, name), `# ${name} of the volume\n`);
    mounts.push({ taskPath: `/etc/${name}`, hostPath: join(directory, name), readonly: true });
  }
  const script = "cat /etc/hosts /etc/resolv.conf; grep -c -e ' /etc/hosts ' -e ' /etc/resolv.conf ' /proc/mounts";
  const dns = { servers: ["192.0.2.53"] };
  expect(await inside(bench, script, {}, { mounts, dns })).toBe(
    "# hosts of the volume\n# resolv.conf of the volume\n2\n",
  );
  const refused = await bench.task({ ...shell(bench.busybox, "true", { extra_hosts: ["db:192.0.2.1"] }), mounts });
  expect(await sentence(bench.start(refused))).toContain("exclude each other: write into the file of the volume");
});
