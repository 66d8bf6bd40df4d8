import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import type { PreparedTask } from "../support/task";
import { copyTree, type Fixture, openFixture, shell, useFixture } from "./fixture";
import { type HostPaths, runTask, useHostPaths } from "./host-paths";
import { inside, sentence } from "./inside";

/** What operators can forbid, and what no job can do in any configuration. */

let bench: Fixture;
let places: HostPaths;
useHostPaths((opened) => {
  places = opened;
});
useFixture((opened) => {
  bench = opened;
});

type Options = Readonly<Record<string, unknown>>;

/** The error with which a start is refused; "" if it is not refused. */
async function refusal(
  on: Fixture,
  more: Options,
  prepare?: (task: PreparedTask) => Promise<unknown>,
): Promise<string> {
  const task = await on.task(shell(bench.busybox, "true", more));
  await prepare?.(task);
  return sentence(on.start(task));
}

test("require_user_namespacing refuses user IDs of the host, and accepts a task that does not mention them", async () => {
  await using strict = await openFixture({ require_user_namespacing: true });
  for (const more of [{ user_namespacing: false }, { private_users: "identity" }, { private_users: "0" }]) {
    expect(await refusal(strict, more)).toContain("can give the container user IDs of the host");
  }
  expect(await inside(strict, "cat /proc/self/uid_map")).toMatch(/^\s+0\s+[1-9]\d{5,}\s+65536\n$/);
});

test("a negative oom_score_adjust needs the operator's permission", async () => {
  for (const score of [-1, -1000]) {
    expect(await refusal(bench, { oom_score_adjust: score })).toContain(`oom_score_adjust asks for ${score}`);
  }
  expect(await inside(bench, "cat /proc/self/oom_score_adj", { oom_score_adjust: 0 })).toBe("0\n");
  await using open = await openFixture({ allow_negative_oom_score_adjust: true });
  // The kernel may still refuse it: not every host of these tests has CAP_SYS_RESOURCE.
  expect(await refusal(open, { oom_score_adjust: -5 })).toMatch(
    /^(Option oom_score_adjust = -5 cannot be set on this client: .* CAP_SYS_RESOURCE, .*)?$/,
  );
});

describe("allow_caps", () => {
  const bounding = "grep CapBnd /proc/self/status | cut -f 2";

  test("[] refuses every named capability, and a task that asks for none runs", async () => {
    await using strict = await openFixture({ allow_caps: [] });
    for (const [asked, name] of [
      ["CAP_NET_ADMIN", "CAP_NET_ADMIN"],
      ["cap_chown", "CAP_CHOWN"],
      ["12", "CAP_NET_ADMIN"],
      ["all", "all"],
    ]) {
      expect(await refusal(strict, { capability: [asked] })).toBe(
        `Option capability asks for "${name}", which this client does not allow: allow_caps of the plugin's config allows nothing.`,
      );
    }
    expect(await inside(strict, "echo runs")).toBe("runs\n");
    expect(await refusal(strict, { drop_capability: ["CAP_CHOWN"] })).toBe("");
  });

  test("a list allows those, and all of them only by name", async () => {
    await using some = await openFixture({ allow_caps: ["cap_net_admin", "CAP_SYSLOG"] });
    const mask = BigInt(`0x${(await inside(some, bounding, { capability: ["CAP_NET_ADMIN", "34"] })).trim()}`);
    expect(mask & ((1n << 12n) | (1n << 34n))).toBe((1n << 12n) | (1n << 34n));
    for (const capability of [["all"], ["CAP_SYSLOG", "CAP_SYS_MODULE"]]) {
      expect(await refusal(some, { capability })).toContain('allows "CAP_NET_ADMIN", "CAP_SYSLOG".');
    }
  });

  test('"all", the default, allows everything', async () => {
    const mask = BigInt(`0x${(await inside(bench, bounding, { capability: ["all"] })).trim()}`);
    expect(mask & (1n << 16n)).toBe(1n << 16n);
  });
});

describe("allow_privileged_binds = false", () => {
  let strict: Fixture;
  beforeAll(async () => {
    strict = await openFixture({ allow_privileged_binds: false });
  });
  afterAll(() => strict[Symbol.asyncDispose]());

  test.each([
    ["bind", { bind: { "/etc": "/mnt" } }],
    ["bind", { bind: { "//etc": "/mnt:idmap" } }],
    ["bind_read_only", { bind_read_only: { "/etc/passwd": "/mnt" } }],
    ["overlay", { overlay: ["/etc::/mnt"] }],
    ["overlay", { overlay: ["local:/etc:/mnt"] }],
    ["overlay", { overlay: ["local:/etc::/mnt"] }],
    ["devices", { devices: ["/dev/null:/dev/x"] }],
  ])("refuses %s of the host: %j", async (option, more) => {
    const said = await refusal(strict, more);
    expect(said).toContain("this client does not allow (allow_privileged_binds = false)");
    expect(said).toContain(option);
  });

  test("allows the task directory", async () => {
    const more = { bind: { "local/a": "/a" }, bind_read_only: { "./local": "/l" } };
    const { stdout } = await runTask(strict, shell(bench.busybox, "echo x > /a/f && cat /l/a/f", more), ({ dirs }) =>
      mkdir(join(dirs.local, "a")),
    );
    expect(stdout).toBe("x\n");
  });

  test("allows volumes and devices of Nomad, which the operator configures", async () => {
    const data = await places.folder("data");
    const { stdout } = await runTask(strict, {
      ...shell(bench.busybox, "touch /data/f && test -c /dev/x && echo both"),
      mounts: [{ hostPath: data, taskPath: "/data" }],
      devices: [{ hostPath: "/dev/null", taskPath: "/dev/x", cgroupPermissions: "rw" }],
    });
    expect(stdout).toBe("both\n");
  });
});

test("volumes = false refuses only volumes", async () => {
  await using strict = await openFixture({ volumes: false });
  const data = await places.folder("volume");
  const task = await strict.task({ ...shell(bench.busybox, "true"), mounts: [{ hostPath: data, taskPath: "/data" }] });
  expect(await sentence(strict.start(task))).toBe(
    `The volume at "/data" is not allowed: volumes are disabled on this client (volumes = false in the nspawn plugin's config).`,
  );
  expect(await inside(strict, "ls /data", { bind: { [data]: "/data" } })).toBe("");
});

describe("image_paths", () => {
  let limited: Fixture;
  let allowed: string;
  beforeAll(async () => {
    allowed = await places.folder("images");
    await copyTree(bench.busybox, join(allowed, "good"));
    await copyTree(bench.busybox, join(places.directory, "images-evil/bad"));
    await copyTree(bench.busybox, join(places.directory, "elsewhere/bad"));
    await copyTree(bench.busybox, join(allowed, "good/srv/nested"));
    await copyTree(bench.busybox, join(allowed, "shared/open"));
    await chmod(join(allowed, "shared"), 0o775);
    await symlink("../elsewhere/bad", join(allowed, "file-link"));
    await symlink(join(places.directory, "elsewhere"), join(allowed, "directory-link"));
    await symlink("file-link", join(allowed, "chain"));
    await symlink("good", join(allowed, "inner-link"));
    await symlink("images/good", join(places.directory, "link-in"));
    await symlink("images", join(places.directory, "images-link"));
    limited = await openFixture({ image_paths: [join(places.directory, "images-link/")] });
  });
  afterAll(() => limited[Symbol.asyncDispose]());

  test.each([
    ["another directory", "elsewhere/bad"],
    ["..", "images/../elsewhere/bad"],
    [".. after a link", "images/directory-link/../elsewhere/bad"],
    ["a link", "images/file-link"],
    ["a link to a link", "images/chain"],
    ["a link on the way", "images/directory-link/bad"],
    ["a name that begins alike", "images-evil/bad"],
    ["the directory above", "."],
    ["the host's root", "../../../.."],
  ])("refuses images elsewhere: %s", async (_name, image) => {
    const path = `${places.directory}/${image}`;
    const said = await refusal(limited, { image: path, ephemeral: true, volatile: "no" });
    expect(said).toMatch(
      / is .*, which the plugin option image_paths does not allow; allowed directories: .*images-link/,
    );
  });

  test.each(["usr", "../../etc", "no-such-machine", "./../.."])("refuses the relative %s", async (image) => {
    expect(await refusal(limited, { image })).toMatch(/image_paths does not allow|not found/);
  });

  test("refuses images that a container, or a user of the host, could exchange between the check and the start", async () => {
    // A task that runs from the enclosing image can replace /srv by a symlink to any directory of the host.
    expect(await refusal(limited, { image: join(allowed, "good/srv/nested") })).toMatch(
      /is inside .*\/images\/good, which is itself a root filesystem/,
    );
    expect(await refusal(limited, { image: join(allowed, "shared/open") })).toMatch(
      /shared is writable by group or others \(mode 775\)/,
    );
  });

  test.each(["images/good", "images/inner-link", "link-in", "images-link/good/", "images/../images/./good"])(
    "allows %s, by any path",
    async (image) => {
      expect(await inside(limited, "echo in", { image: join(places.directory, "/") + image })).toBe("in\n");
    },
  );
});

describe("allow_devices and allow_boot", () => {
  let strict: Fixture;
  beforeAll(async () => {
    strict = await openFixture({ allow_privileged_binds: false, allow_devices: ["/dev/nu*"], allow_boot: false });
  });
  afterAll(() => strict[Symbol.asyncDispose]());

  test("a device that is named can be used", async () => {
    expect(await inside(strict, "ls /dev/mine", { devices: ["/dev/null:/dev/mine:r"] })).toBe("/dev/mine\n");
  });

  test.each([
    [
      { devices: ["/dev/zero"] },
      'Option devices asks for "/dev/zero", which this client does not allow: allow_devices',
    ],
    [{ boot: true }, "Option boot = true is not allowed on this client (allow_boot = false)"],
  ])("%j is refused", async (more, expected) => {
    const task = await strict.task(shell(strict.busybox, "true", more));
    expect(await sentence(strict.start(task))).toContain(expected);
  });
});
