/** Tasks on container (OCI) images: from an image's files to a running container and complete cleanup. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { debianImage } from "../../tools/images/images";
import { archiveOf, type Config, type Layer, type LayerKind, writeImage } from "../support/oci-image";
import { type ArchiveEntry, archive, directory, file, symlink } from "../support/tar-archive";
import { copyTree, type Fixture, useFixture } from "./fixture";
import { sentence, underSystemd } from "./inside";

/** On a disk, because a tmpfs may not support an overlay's upper directory. */
const store = `/var/tmp/stored-images-${process.pid}`;
let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { image_store: store, gc: { image_delay: "1h" } },
);

let layouts = "";
let base: Uint8Array;
let images = 0;
beforeAll(async () => {
  layouts = await mkdtemp(join(tmpdir(), "layouts-"));
  base = await archiveOf(bench.busybox);
});
afterAll(async () => {
  await rm(layouts, { recursive: true, force: true });
  // Every container's root is removed with its task.
  expect(await readdir(join(store, "containers"))).toEqual([]);
  expect(await readdir(join(store, "tmp"))).toEqual([]);
  await rm(store, { recursive: true });
});

function write(layers: readonly Layer[], config: Config = {}): Promise<string> {
  images += 1;
  return writeImage(join(layouts, "layout"), `image-${images}`, layers, config);
}

/** The name of a busybox image with further layers on top. */
function image(
  layers: readonly (readonly ArchiveEntry[])[] = [],
  config: Config = {},
  kind: LayerKind = "gzip",
): Promise<string> {
  return write([{ archive: base, kind }, ...layers.map((entries) => ({ archive: archive(entries), kind }))], config);
}

/** The standard output of a script in a container of the image; a failed script throws. */
async function output(name: string, script: string, more: object = {}): Promise<string> {
  const end = await bench.finished({
    config: { image: name, network_veth: false, command: ["/bin/sh", "-c", script], ...more },
  });
  if (end.code !== 0) throw new Error(`code ${end.code} signal ${end.signal}: ${end.err}\n${end.stderr}`);
  return end.stdout;
}

async function refusal(name: string, more: object = {}): Promise<string> {
  const task = await bench.task({ config: { image: name, network_veth: false, ...more } });
  return sentence(bench.start(task));
}

describe("the image config", () => {
  const says: Config = {
    Entrypoint: ["/bin/sh", "-c", 'echo "$0 $1 $A $B $HOME"; pwd; id -u; id -g; echo again > /dev/stdout', "zero"],
    Cmd: ["one"],
    Env: ["A=image", "B=image", "no.name=x", "not a variable"],
    WorkingDir: "/made/for/it",
    User: "app",
    StopSignal: "USR1",
  };

  test("defines what runs: Entrypoint with Cmd, environment, directory and user", async () => {
    const { code, stdout } = await bench.finished({
      config: { image: await image([], says), network_veth: false, environment: { B: "task" } },
    });
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: "zero one image task /home/app\n/made/for/it\n1000\n1000\nagain\n",
    });
  });

  test("has variables with any name, for any user", async () => {
    for (const user of ["app", "root", "7"]) {
      const config = { image: await image([], says), network_veth: false, user, command: ["env"] };
      const { stdout } = await bench.finished({ config });
      expect(stdout.split("\n")).toEqual(expect.arrayContaining(["no.name=x", "A=image"]));
      expect(stdout).not.toContain("not a variable");
    }
  });

  test("is overridden by the job's settings", async () => {
    const script = 'echo "$A $HOME"; pwd; id -u; id -G';
    const more = { environment: { A: "task" }, user: "7", working_directory: "/etc" };
    expect(await output(await image([], says), script, more)).toBe("task /\n/etc\n7\n0\n");
    expect(await output(await image([], says), "id -u; id -G", { user: "root" })).toBe("0\n0\n");
  });

  test("has a user and group, each by name or number", async () => {
    for (const [User, ids] of [
      ["app:nogroup", "1000 65534\n"],
      ["4711:12", "4711 12\n"],
    ] as const) {
      expect(await output(await image([], { User }), "echo $(id -u) $(id -G)")).toBe(ids);
    }
    expect(await refusal(await image([], { User: "stranger", Cmd: ["/bin/true"] }))).toContain(
      'The user "stranger" does not exist in the image',
    );
  });

  test.each([
    [{}, "image 1000 /made/for/it\n"],
    // These mean nothing on an image whose changes are forgotten anyway, on recovery as at the start.
    [{ ephemeral: true }, "image 1000 /made/for/it\n"],
    [{ volatile: "overlay" }, "image 1000 /made/for/it\n"],
    [{ environment: { A: "task" }, user: "7", working_directory: "/etc" }, "task 7 /etc\n"],
    [{ process_two: true }, "image 1000 /made/for/it\n"],
  ])(
    "also applies to commands in the task and to its stop signal, after a restart of the plugin too: %j",
    async (more, expected) => {
      const script = "trap 'exit 5' USR1; echo up; while :; do sleep 0.1; done";
      const name = await image([], { ...says, Entrypoint: ["/bin/sh", "-c", script], Cmd: [] });
      const task = await bench.task({ config: { image: name, network_veth: false, ...more } });
      const handle = await bench.start(task);
      await task.stdout.waitFor("up");
      const look = async () => {
        const { stdout } = await bench.client().execTask(task.id, ["/bin/sh", "-c", "echo $A $(id -u) $(pwd)"], 10_000);
        return Buffer.from(stdout).toString();
      };
      expect(await look()).toBe(expected);
      await bench.replacePlugin();
      await bench.client().recoverTask(handle);
      expect(await look()).toBe(expected);
      await bench.client().stopTask(task.id, { timeout: 10_000 });
      expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 5, signal: 0 });
      await bench.client().destroyTask(task.id);
    },
  );

  test("an image without a command is refused with an error", async () => {
    expect(await refusal(await image())).toContain("has no command (neither Entrypoint nor Cmd)");
    expect(await refusal(await image(), { process_two: true, boot: true })).toContain("exclude each other");
  });
});

describe("layers", () => {
  test.each(["gzip", "zstd", "plain"] as const)("%s: upper ones replace, remove and hide", async (kind) => {
    const name = await image(
      [
        [
          directory("opt/"),
          file("opt/kept", "kept\n"),
          file("opt/gone", "gone\n"),
          directory("opt/hidden/", { uid: 1000, gid: 1000, mode: 0o2750 }),
          file("opt/hidden/below", "below\n"),
          directory("opt/replaced/"),
          file("opt/replaced/x", "x"),
          file("opt/turned", "file"),
        ],
        [
          file("opt/.wh.gone"),
          file("opt/hidden/.wh..wh..opq"),
          file("opt/hidden/above", "above\n", { uid: 1000, gid: 1000, mode: 0o4711 }),
          file("opt/replaced", "now a file\n"),
          directory("opt/turned/"),
          file("opt/turned/inner", "inner\n"),
          symlink("opt/link", "/opt/kept"),
          { name: "opt/other-name", type: "1", link: "opt/turned/inner" },
          { name: "opt/fifo", type: "6", mode: 0o620 },
          file("etc/.wh.group"),
        ],
      ],
      {},
      kind,
    );
    const script =
      "cd /opt; ls; ls hidden; cat kept link replaced other-name; stat -c '%n %u:%g %a %h %Y %F' hidden/above other-name fifo; test ! -e /etc/group";
    expect(await output(name, script)).toBe(
      [
        ...["fifo", "hidden", "kept", "link", "other-name", "replaced", "turned", "above"],
        ...["kept", "kept", "now a file", "inner"],
        "hidden/above 1000:1000 4711 1 1700000000 regular file",
        "other-name 0:0 644 2 1700000000 regular file",
        "fifo 0:0 620 1 1700000000 fifo",
        "",
      ].join("\n"),
    );
  });

  test("keep file capabilities and user attributes", async () => {
    const busybox = await Bun.file(join(bench.busybox, "usr/bin/busybox")).bytes();
    // struct vfs_cap_data of revision 2 with the effective bit: CAP_SETUID is number 7, which gives a byte that is not text.
    const capability = Uint8Array.of(1, 0, 0, 2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    const pax = { "SCHILY.xattr.security.capability": capability, "SCHILY.xattr.user.note": "text" };
    const capable: ArchiveEntry = { name: "usr/bin/busybox-capable", mode: 0o755, data: busybox, pax };
    const name = await image([[capable]]);
    for (const more of [{}, { user_namespacing: false }]) {
      const command = ["/usr/bin/busybox-capable", "grep", "CapEff", "/proc/self/status"];
      const status = await output(name, "", { command, user: "app", ...more });
      expect(status).toBe("CapEff:\t0000000000000080\n");
    }
  });

  test("the same layer twice is stored once", async () => {
    const layer = { archive: archive([directory("twice/"), file("twice/a", "a\n")]) };
    const other = { archive: archive([file("twice/.wh.a")]) };
    expect(await output(await write([{ archive: base }, layer, other, layer]), "cat /twice/a")).toBe("a\n");
  });

  test("127 layers, the most that docker creates", async () => {
    const layers = Array.from({ length: 126 }, (_, index) => [file(`layer-${index}`, `${index}\n`)]);
    expect(await output(await image(layers), "ls / | grep -c ^layer-; cat /layer-125")).toBe("126\n125\n");
  }, 120_000);

  test("an image may consist of a single program", async () => {
    const busybox = await Bun.file(join(bench.busybox, "usr/bin/busybox")).bytes();
    const name = await write([{ archive: archive([{ name: "busybox", mode: 0o755, data: busybox }]) }], {
      Entrypoint: ["/busybox", "sh", "-c", "echo alone $(/busybox id -u)"],
      User: "65532:65532",
    });
    const { code, stdout } = await bench.finished({ config: { image: name, network_veth: false } });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "alone 65532\n" });
  });
});

describe("a container's root", () => {
  const look = "stat -c %u:%g / /home/app; touch /new /home/app/new && stat -c %u /new; cut -c 1-22 /proc/self/uid_map";

  test("belongs to the container's IDs, and changes are discarded with it", async () => {
    const name = await image();
    const first = await output(name, look);
    expect(first).toMatch(/^0:0\n1000:1000\n0\n +0 +\d{6,10}/);
    expect(await output(name, look)).toMatch(/^0:0\n1000:1000\n0\n/);
    expect(await output(name, "ls / /home/app | grep -c new; true")).toBe("0\n");
  });

  test.each([
    [{ user_namespacing: false }, "0          0 4294967295"],
    [{ private_users: "identity" }, "0          0      65536"],
    [{ private_users: "700000:70000" }, "0     700000      70000"],
    [{ private_users: "0:65536" }, "0          0      65536"],
    [{ private_users_ownership: "chown" }, "0 "],
    [{ private_users: "yes" }, "0 "],
  ])("%j", async (more, map) => {
    const out = await output(await image(), `${look.split(";").slice(0, 2).join(";")}; cat /proc/self/uid_map`, more);
    expect(out).toMatch(/^0:0\n1000:1000\n0\n/);
    expect(out.split("\n")[3]?.trim()).toStartWith(map);
  });

  test("can be read-only, and still has the task's directories", async () => {
    const script = "touch /x 2>/dev/null; echo $?; touch /local/x && ls /local; ls -d /alloc /secrets";
    expect(await output(await image(), script, { read_only: true })).toBe("1\nx\n/alloc\n/secrets\n");
  });

  test("can have owners above the container's range, also of the directory for a mount point", async () => {
    const high = { uid: 100_000, gid: 4_000_000, pax: { gid: "4000000" } };
    const entries = [
      directory("data/", { ...high, mode: 0o755 }),
      file("data/file", "high\n", { ...high, mode: 0o644 }),
      directory("open/", { ...high, mode: 0o777 }),
    ];
    const name = await image([entries]);
    const bind = { [layouts]: "/data/below/mount" };
    const script = "cat /data/file; stat -c %u:%g /data /data/file; echo x > /open/new; stat -c %u /open/new; ls /data";
    for (const more of [{ bind }, { bind, read_only: true }]) {
      const writes = "read_only" in more ? script.replace(/echo x.*new; /, "") : script;
      const made = "read_only" in more ? "" : "0\n";
      expect(await output(name, writes, more)).toBe(`high\n65534:65534\n65534:65534\n${made}below\nfile\n`);
    }
  });

  test("ephemeral and volatile", async () => {
    const name = await image();
    for (const more of [{ ephemeral: true }, { volatile: "overlay" }]) {
      expect(await output(name, "touch /x && stat -c %u /x", more)).toBe("0\n");
    }
    for (const more of underSystemd ? [{}, { user_namespacing: false }] : [{ user_namespacing: false }]) {
      const script = "touch /var/x && ls /var/x; touch /x 2>/dev/null; echo $?; stat -c %u /var/x";
      expect(await output(name, script, { volatile: "state", ...more })).toBe("/var/x\n1\n0\n");
      const usr = "touch /x && stat -c %u /x; test -e /etc/group; echo $?; touch /usr/x 2>/dev/null; echo $?";
      expect(await output(name, usr, { volatile: "yes", ...more })).toBe("0\n1\n1\n");
    }
  });

  test("can be a directory of the image", async () => {
    const outer = await mkdtemp(join(layouts, "outer-"));
    await copyTree(bench.busybox, join(outer, "deploy"));
    await writeFile(join(outer, "deploy/which"), "inner\n");
    const name = await write([{ archive: base }, { archive: await archiveOf(outer) }]);
    const look = "cat /which; stat -c %u:%g /; touch /x && stat -c %u /x";
    expect(await output(name, look, { pivot_root: "/deploy" })).toBe("inner\n0:0\n0\n");
  });

  test("the command can be PID 2", async () => {
    expect(await output(await image([], { User: "app" }), "echo $$ $(id -u)", { process_two: true })).toBe("2 1000\n");
  });

  test("boots, with boot = true", async () => {
    const name = await write([{ archive: await archiveOf(await debianImage()), kind: "plain" }], {
      Cmd: ["/bin/false"],
    });
    const task = await bench.started({
      config: { image: name, network_veth: false, boot: true },
    });
    for (const deadline = performance.now() + 30_000; performance.now() < deadline; await Bun.sleep(200)) {
      const { stdout } = await bench
        .client()
        .execTask(task.id, ["/bin/systemctl", "is-system-running"], 10_000)
        .catch(() => ({ stdout: "" }));
      if (Buffer.from(stdout).toString().startsWith("running")) break;
    }
    const { stdout } = await bench.client().execTask(task.id, ["/bin/systemctl", "is-system-running"], 10_000);
    expect(Buffer.from(stdout).toString()).toBe("running\n");
    await bench.client().stopTask(task.id, { timeout: 20_000 });
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 0, signal: 0 });
    await bench.client().destroyTask(task.id);
  }, 120_000);
});

describe("refused with an error, and nothing left", () => {
  test.each([
    [
      "a path that leads out",
      [file("../../../evil", "x")],
      'has the name "../../../evil", which leads out of the image',
    ],
    [
      "an absolute path above the root",
      [file("/../evil", "x")],
      'has the name "/../evil", which leads out of the image',
    ],
    ["a link to a file outside", [{ name: "x", type: "1", link: "../../etc/shadow" }], "leads out of the image"],
  ] as const)("%s", async (_, entries, text) => {
    const name = await image([[...entries]]);
    expect(await refusal(name, { command: ["/bin/true"] })).toContain(text);
    expect(await readdir(join(store, "containers"))).toEqual([]);
    expect(existsSync("/evil")).toBe(false);
  });

  test("a damaged layer, a wrong digest in the config, a missing tag", async () => {
    const wrong = await write([{ archive: base, diffId: `sha256:${"0".repeat(64)}` }]);
    expect(await refusal(wrong, { command: ["/bin/true"] })).toContain("the image is damaged");
    expect(await refusal(`oci:${layouts}/layout:nothing`)).toContain('has no image "nothing": available tags: image-1');
    expect(await refusal(`oci:${layouts}:x`)).toContain("is not an OCI image layout");
    expect(await refusal("oci:/nowhere:x")).toContain("/nowhere does not exist");
  });
});

test("symlinks that an image has in place of files and directories do not lead out of it", async () => {
  const mark = `/var/tmp/leads-out-${crypto.randomUUID()}`;
  const up = "../../../../../../../../../../../../..";
  const name = await image([
    [
      symlink("etc/passwd", `${up}/etc/passwd`),
      symlink("out", `${up}${mark}`),
      symlink("alloc", mark),
      symlink("loop", "/loop"),
    ],
  ]);
  // A user of the host.
  expect(await refusal(name, { command: ["/bin/true"], user: "games" })).toContain(
    'The user "games" does not exist in the image',
  );
  for (const more of [{ working_directory: "/out/made" }, { working_directory: "/loop/made" }, { read_only: true }]) {
    const task = await bench.task({ config: { image: name, network_veth: false, command: ["/bin/true"], ...more } });
    // The image may or may not start.
    await sentence(bench.start(task));
    expect(existsSync(mark)).toBe(false);
  }
});

test("a private network, with a read-only root too", async () => {
  const name = await image();
  for (const more of [{}, { read_only: true }]) {
    const out = await output(name, "grep -c localhost /etc/hosts; ls /sys/class/net", { network_veth: true, ...more });
    expect(out).toMatch(/^[1-9]\d*\n(.*\n)*host0\n/);
  }
});

test("ten simultaneous starts of one image fetch it once", async () => {
  const name = await image([[file("unique", crypto.randomUUID())]], { Cmd: ["/bin/true"] });
  const fetched = () =>
    bench.plugin().logs.filter((line) => line["@message"] === "image fetched" && line["image"] === name);
  const config = { image: name, network_veth: false };
  const ends = await Promise.all(Array.from({ length: 10 }, () => bench.finished({ config })));
  expect(ends.map(({ code }) => code)).toEqual(Array.from({ length: 10 }, () => 0));
  expect(fetched()).toHaveLength(1);
});
