import { describe, expect, test } from "bun:test";
import { readlinkSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startExec } from "../support/exec";
import { type Fixture, failure, openFixture, shell, useFixture } from "./fixture";
import { underSystemd } from "./inside";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

type Options = Readonly<Record<string, unknown>>;

const inaccessible = { inaccessible: ["/usr/lib"] };

/** What a script prints in a container with some options. */
const cases: readonly (readonly [name: string, options: Options, script: string, said: string | RegExp])[] = [
  ["hostname", { hostname: "other" }, "hostname", "other\n"],
  ["personality", { personality: "x86" }, "uname -m", /^i[3-6]86\n$/],
  ["suppress_sync", { suppress_sync: true }, "sync; echo done", "done\n"],
  ["timezone", { timezone: "off" }, "echo started", "started\n"],
  ["working_directory", { working_directory: "/etc" }, "pwd", "/etc\n"],
  ["user_namespacing", { user_namespacing: false }, "cat /proc/self/uid_map", /^\s+0\s+0\s+4294967295\n$/],
  ["user namespaces by default", {}, "cat /proc/self/uid_map", /^\s+0\s+[1-9]\d+\s+65536\n$/],
  ["private_users identity", { private_users: "identity" }, "cat /proc/self/uid_map", /^\s+0\s+0\s+65536\n$/],
  ["private_users UID", { private_users: "1310720:65536" }, "cat /proc/self/uid_map", /^\s+0\s+1310720\s+65536\n$/],
  ["tmpfs", { tmpfs: ["/mnt/t:size=1M"] }, "grep -c ' /mnt/t tmpfs' /proc/mounts", "1\n"],
  ...(underSystemd
    ? ([["inaccessible", inaccessible, "cat /usr/lib/os-release 2>/dev/null || echo no", "no\n"]] as const)
    : []),
  ["no_new_privileges", { no_new_privileges: true }, "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1\n"],
  ["rlimits", { rlimits: { NOFILE: "123" } }, "ulimit -n", "123\n"],
  ["oom_score_adjust", { oom_score_adjust: 321 }, "cat /proc/self/oom_score_adj", "321\n"],
  [
    "environment",
    { environment: { A: "a \"b\" 'c' $d %e \\f", B: "two\nlines" } },
    'echo "$A"; echo "$B"',
    "a \"b\" 'c' $d %e \\f\ntwo\nlines\n",
  ],
  [
    "command arguments as they are",
    { command: ["/bin/echo", "-n", "$HOME", "%n", "--boot", "a b"] },
    "",
    "$HOME %n --boot a b",
  ],
  [
    "network_veth = false is the host's network",
    {},
    "readlink /proc/self/ns/net",
    `${readlinkSync("/proc/self/ns/net")}\n`,
  ],
];

test.each(cases)("%s", async (_name, options, script, said) => {
  const end = await bench.finished(shell(bench.busybox, script, { ...options }));
  if (typeof said === "string") expect(end.stdout).toBe(said);
  else expect(end.stdout).toMatch(said);
});

test("capability adds to the default set, and drop_capability removes from it", async () => {
  /** Numbers of linux/capability.h. */
  const [chown, netAdmin] = [0n, 12n];
  const has = async (capability: bigint, options: Options) => {
    const { stdout } = await bench.finished(shell(bench.busybox, "grep CapBnd /proc/self/status", options));
    return (BigInt(`0x${stdout.trim().split("\t")[1]}`) & (1n << capability)) !== 0n;
  };
  expect(await has(chown, {})).toBe(true);
  expect(await has(chown, { drop_capability: ["CAP_CHOWN"] })).toBe(false);
  expect(await has(netAdmin, {})).toBe(false);
  expect(await has(netAdmin, { capability: ["CAP_NET_ADMIN"] })).toBe(true);
});

test("inaccessible names what it needs if systemd is not PID 1", async () => {
  const task = await bench.task(shell(bench.busybox, "true", inaccessible));
  const sentence = await failure(bench.start(task));
  if (underSystemd) expect(sentence).toBe("");
  else expect(sentence).toContain("needs /run/systemd/inaccessible");
});

test("network_veth gives the container a private network", async () => {
  const end = await bench.finished(shell(bench.busybox, "ls /sys/class/net", { network_veth: true }));
  expect(end.stdout).toBe("host0\nlo\n");
});

describe("mounts", () => {
  test("the task's directories are writable, the image's command finds them", async () => {
    const task = await bench.task(
      shell(bench.busybox, "echo a > /alloc/f; echo l > /local/f; cat /secrets/s; ls -d /alloc /local", {
        user_namespacing: false,
      }),
    );
    await writeFile(join(task.dirs.secrets, "s"), "secret\n");
    await bench.start(task);
    await bench.client().waitTask(task.id);
    expect(await Bun.file(join(task.dirs.alloc, "f")).text()).toBe("a\n");
    expect(await Bun.file(join(task.dirs.local, "f")).text()).toBe("l\n");
    expect(task.stdout.text()).toContain("secret\n");
  });

  test("bind and bind_read_only", async () => {
    const outside = join(bench.scratch, "outside:with, odd\\name");
    await mkdir(outside);
    await writeFile(join(outside, "f"), "found\n");
    const script =
      "cat /mnt/rw/f /mnt/ro/f; touch /mnt/ro/new 2>/dev/null || echo read-only; touch /mnt/rw/new && echo written";
    const end = await bench.finished(
      shell(bench.busybox, script, {
        bind: { [outside]: "/mnt/rw" },
        bind_read_only: { "/etc/hostname": "/mnt/x", [join(outside, ".")]: "/mnt/ro" },
        user_namespacing: false,
      }),
    );
    expect(end.stdout).toBe("found\nfound\nread-only\nwritten\n");
  });

  test("a relative path stays in the task's directory", async () => {
    const task = await bench.task(shell(bench.busybox, "cat /mnt/d/f", { bind: { "local/data": "/mnt/d" } }));
    await mkdir(join(task.dirs.local, "data"));
    await writeFile(join(task.dirs.local, "data/f"), "inside\n");
    await bench.start(task);
    await bench.client().waitTask(task.id);
    expect(task.stdout.text()).toBe("inside\n");

    const led = await bench.task(shell(bench.busybox, "ls /mnt/d", { bind: { "local/data": "/mnt/d" } }));
    await symlink("/etc", join(led.dirs.local, "data"));
    expect(await failure(bench.client().startTask(led.config))).toContain("is outside the task directory");
  });

  test("volumes, read-only and not, unless the operator forbids them", async () => {
    const volume = join(bench.scratch, "volume");
    await mkdir(volume);
    await writeFile(join(volume, "f"), "v\n");
    const mounts = [{ hostPath: volume, taskPath: "/mnt/v", readonly: true, propagationMode: "private" }];
    const spec = { ...shell(bench.busybox, "cat /mnt/v/f; touch /mnt/v/x 2>/dev/null || echo read-only"), mounts };
    expect((await bench.finished(spec)).stdout).toBe("v\nread-only\n");
    await using strict = await openFixture({ volumes: false });
    const task = await strict.task(spec);
    expect(await failure(strict.client().startTask(task.config))).toContain("volumes = false");
  });

  test("the dns block is the container's resolv.conf", async () => {
    const dns = { servers: ["192.0.2.1"], searches: ["x.test"], options: ["ndots:2"] };
    const end = await bench.finished({ ...shell(bench.busybox, "cat /etc/resolv.conf"), dns });
    expect(end.stdout).toBe("nameserver 192.0.2.1\nsearch x.test\noptions ndots:2\n");
  });
});

describe("variables that systemd-nspawn cannot pass", () => {
  const environment = { "discovery.type": "single-node", PLAIN: "1", LD_LIBRARY_PATH: "/a\n/b" };
  const command = ["/bin/env"];

  test.each([
    ["as root", {}],
    ["without a user namespace", { user_namespacing: false }],
    ["beside an init", { process_two: true }],
    ["in a read-only root", { read_only: true }],
    ["that is looked up", { command: ["env"] }],
    ["with arguments", { command: ["/bin/busybox", "env", "-u", "NONE"] }],
  ])("reach a command %s", async (_name, more) => {
    const { stdout, stderr } = await bench.finished(shell(bench.busybox, "", { environment, command, ...more }));
    expect(stderr).toBe("");
    for (const line of ["discovery.type=single-node", "PLAIN=1", "LD_LIBRARY_PATH=/a", "/b"]) {
      expect(stdout.split("\n")).toContain(line);
    }
  });

  test("leave the failure of a command a sentence", async () => {
    const { code, stderr } = await bench.finished(
      shell(bench.busybox, "", { environment, command: ["/no/such/program"] }),
    );
    expect({ code, stderr }).toEqual({ code: 127, stderr: "Cannot run any of /no/such/program in the container.\n" });
  });

  test("are seen by alloc exec", async () => {
    const task = await bench.task(shell(bench.busybox, "echo up; exec sleep 1000", { environment }));
    await bench.client().startTask(task.config);
    const { ended } = await startExec(bench.client(), task.id, ["/bin/env"]);
    expect((await ended).stdout).toContain("discovery.type=single-node\n");
  });
});
