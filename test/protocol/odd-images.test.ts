/** Container (OCI) images as other tools than docker make them: each runs, or is refused by a sentence. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { archiveOf, type Config, type Layer, writeImage } from "../support/oci-image";
import { type ArchiveEntry, archive, directory, file, symlink } from "../support/tar-archive";
import { type Fixture, useFixture } from "./fixture";
import { sentence } from "./inside";

/** On a disk, because a tmpfs may not support an overlay's upper directory. */
const store = `/var/tmp/odd-images-${process.pid}`;
let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { image_store: store },
);

let layouts = "";
let base: Uint8Array;
let images = 0;
beforeAll(async () => {
  layouts = await mkdtemp(join(tmpdir(), "odd-layouts-"));
  base = await archiveOf(bench.busybox);
});
afterAll(async () => {
  await rm(layouts, { recursive: true, force: true });
  await rm(store, { recursive: true, force: true });
});

function write(layers: readonly Layer[], config: Config = {}, architecture = "amd64"): Promise<string> {
  images += 1;
  return writeImage(join(layouts, "layout"), `image-${images}`, layers, config, architecture);
}

/** A busybox image with further layers on top. */
function image(layers: readonly (readonly ArchiveEntry[])[], config: Config = {}): Promise<string> {
  return write([{ archive: base }, ...layers.map((entries) => ({ archive: archive(entries) }))], config);
}

/** The standard output of a task; a failed one throws. */
async function ran(name: string, more: object = {}): Promise<string> {
  const end = await bench.finished({ config: { image: name, network_veth: false, ...more } });
  if (end.code !== 0) throw new Error(`code ${end.code} signal ${end.signal}: ${end.err}\n${end.stderr}`);
  return end.stdout;
}

const output = (name: string, script: string, more: object = {}) =>
  ran(name, { command: ["/bin/sh", "-c", script], ...more });

async function refusal(name: string, more: object = {}): Promise<string> {
  return sentence(bench.start(await bench.task({ config: { image: name, network_veth: false, ...more } })));
}

const compressedBy = (program: string, bytes: Uint8Array) =>
  Bun.spawnSync([program, "--stdout"], { stdin: bytes }).stdout;

test("absolute names, device nodes and attributes of overlayfs", async () => {
  const name = await image([
    [
      directory("/nix/store/", { pax: { "SCHILY.xattr.trusted.overlay.opaque": "y" } }),
      file("/nix/store/a", "a\n", { pax: { "SCHILY.xattr.user.overlay.metacopy": "y" } }),
      { name: "/nix/store/b", type: "1", link: "/nix/store/a" },
      { name: "dev/ram0", type: "4", device: [1, 0] },
      { name: "/lib/udev/devices/kvm", type: "3", device: [10, 232] },
    ],
  ]);
  expect(await output(name, "cat /nix/store/b; ls /dev/ram0 /lib/udev/devices 2>&1 | grep -c 'No such'")).toBe(
    "a\n2\n",
  );
});

describe("directories that a layer only implies", () => {
  const data = { mode: 0o1777, uid: 1000, gid: 100, mtime: 1_000_000_000 };
  const show = "stat -c '%a %u %g' /data /data/deep /made; ls /data/deep";
  const layers: readonly (readonly ArchiveEntry[])[] = [
    [directory("data/", data), directory("data/deep/", { mode: 0o2750, uid: 7, gid: 8 })],
    [file("data/deep/x")],
    [file("data/deep/y"), file("made/z")],
  ];
  const expected = "1777 1000 100\n2750 7 8\n755 0 0\nx\ny\n";
  test.each([
    ["with mapped owners", {}],
    ["without a user namespace", { user_namespacing: false }],
    ["in a read-only root", { read_only: true }],
  ])("look as in the layer below, %s", async (_, more) => {
    expect(await output(await image(layers), show, more)).toBe(expected);
  });

  test("and as their own layer says if it describes them later", async () => {
    const again = [file("data/deep/x"), directory("data/", { mode: 0o700 })];
    expect(await output(await image([...layers, again]), show)).toBe("700 0 0\n2750 7 8\n755 0 0\nx\ny\n");
  });

  test("and as new ones after a whiteout or in an opaque directory", async () => {
    const removed = [file(".wh.data")];
    const shown = await output(await image([...layers, removed, [file("data/deep/n")]]), show);
    expect(shown).toBe("755 0 0\n755 0 0\n755 0 0\nn\n");
  });
});

describe("volumes", () => {
  const config: Config = { User: "app", Volumes: { "/var/lib/db/": {}, "/there": {}, "../x": {} } };
  const layers = [[directory("there/", { mode: 0o775, uid: 3 }), file("there/kept")]];
  const show = "stat -c '%a %u' /var/lib/db /var/lib /there; ls /there; touch /var/lib/db/x && echo written";

  test("exist for the image's user", async () => {
    expect(await output(await image(layers, config), show)).toBe("755 1000\n755 0\n775 3\nkept\nwritten\n");
  });

  test("are empty and in memory, if the job says so", async () => {
    const script = `${show}; grep -c 'tmpfs /var/lib/db\\|tmpfs /there' /proc/mounts; stat -f -c %T /var/lib/db`;
    const shown = await output(await image(layers, config), script, { image_volumes: "tmpfs", read_only: true });
    expect(shown).toBe("1777 0\n755 0\n1777 0\nwritten\n2\ntmpfs\n");
  });

  test("are the job's where it mounts something", async () => {
    const script = "stat -c %a /var/lib/db; touch /var/lib/db/x && echo written";
    const more = { image_volumes: "tmpfs", tmpfs: ["/var/lib:mode=1777"], user: "root" };
    expect(await output(await image(layers, config), `mkdir /var/lib/db; ${script}`, more)).toBe("755\nwritten\n");
  });
});

describe("the CPU", () => {
  test("is that of the programs, not of the label", async () => {
    expect(await output(await write([{ archive: base }], {}, "arm64"), "echo runs")).toBe("runs\n");
  });

  const foreign = Buffer.concat([Buffer.from("7f454c4602010100000000000000000002000c01", "hex"), Buffer.alloc(200)]);
  test.each<[string, readonly ArchiveEntry[], object]>([
    ["a program", [file("app", "", { data: foreign, mode: 0o755 })], { command: ["/app"] }],
    ["a program that PATH finds", [file("bin/app", "", { data: foreign, mode: 0o755 })], { command: ["app"] }],
    [
      "the interpreter of a script",
      [file("app", "#! /bin/odd -x\n", { mode: 0o755 }), file("bin/odd", "", { data: foreign, mode: 0o755 })],
      { command: ["/app"] },
    ],
    ["an init system", [file("sbin/init", "", { data: foreign, mode: 0o755 })], { boot: true }],
  ])("another one is refused by name: %s", async (_, entries, more) => {
    const machine = Buffer.from(foreign);
    machine.writeUInt16LE(258, 18);
    const changed = entries.map((entry) => (entry.data === foreign ? { ...entry, data: machine } : entry));
    expect(await refusal(await image([changed]), more)).toMatch(
      /^The image "oci:.*" cannot run here: its program "\/[a-z/]+" is for linux\/loong64, and this client is linux\/amd64\./,
    );
  });
});

describe("almost nothing in it", () => {
  test("one static program, no shell, no /etc, no /usr", async () => {
    const busybox = await readFile(join(bench.busybox, "bin/busybox"));
    const layers = [{ archive: archive([file("/busybox", "", { data: busybox, mode: 0o755 })]) }];
    for (const config of [{ Entrypoint: ["/busybox", "echo"], Cmd: ["runs"] }, { Cmd: ["/busybox", "echo", "runs"] }]) {
      expect(await ran(await write(layers, config))).toBe("runs\n");
    }
    expect(
      await ran(await write(layers, { Entrypoint: ["/busybox"], User: "7:8" }), { command: ["/busybox", "id", "-u"] }),
    ).toBe("7\n");
  });

  test("an init system and no os-release", async () => {
    const init = file("sbin/init", '#!/bin/sh\necho "$1 is up"; cat /usr/lib/os-release\n', {
      mode: 0o755,
    });
    const removed = [file("etc/.wh.os-release"), file("usr/lib/.wh.os-release"), init];
    const shown = await ran(await image([removed]), { boot: true, command: ["it"] });
    expect(shown).toContain("it is up");
    expect(shown).toContain("ID=linux");
  });

  test("odd variables, null for Cmd and Entrypoint", async () => {
    const config = { Env: ["A=1", "A=2", "novalue", "=x", "a.b=c=d", "EMPTY="], Volumes: null };
    const shown = await ran(await image([], config), { command: ["env"] });
    expect(shown.split("\n").filter((line) => /^(?:A|EMPTY|a\.b|novalue)/.test(line))).toEqual(
      expect.arrayContaining(["A=2", "EMPTY=", "a.b=c=d"]),
    );
    expect(shown).not.toMatch(/^(?:A=1|novalue)/m);
  });

  test.each(["01234567-89ab-cdef-0123-456789abcdef\n", "uninitialized\n", "damaged", ""])(
    "a machine ID %j",
    async (id) => {
      const shown = await output(await image([[file("etc/machine-id", id, { mode: 0o444 })]]), "echo $container_uuid");
      expect(shown).toMatch(/^[0-9a-f-]{36}\n$/);
    },
  );
});

describe("layers", () => {
  const hello = archive([file("hello", "hello\n")]);
  test.each<[string, () => readonly Layer[]]>([
    ["compressed with xz", () => [{ archive: hello, stored: compressedBy("xz", hello) }]],
    ["compressed with bzip2", () => [{ archive: hello, stored: compressedBy("bzip2", hello) }]],
    [
      "of several gzip members",
      () => [
        { archive: hello, stored: Buffer.concat([gzipSync(hello.subarray(0, 100)), gzipSync(hello.subarray(100))]) },
      ],
    ],
    [
      "with garbage after gzip data",
      () => [{ archive: hello, stored: Buffer.concat([gzipSync(hello), Buffer.from("x")]) }],
    ],
    ["with an odd media type", () => [{ archive: hello, kind: "zstd", mediaType: "application/octet-stream" }]],
    [
      "that are empty",
      () => [{ archive: Buffer.alloc(0), kind: "plain" }, { archive: hello }, { archive: archive([]) }],
    ],
    ["that occur twice", () => [{ archive: hello }, { archive: archive([file(".wh.hello")]) }, { archive: hello }]],
    ["with addresses of their own, as a common layer", () => [{ archive: hello, urls: ["https://example.com/layer"] }]],
    [
      "127 of them",
      () => [...Array.from({ length: 125 }, (_, n) => ({ archive: archive([file(`n/${n}`)]) })), { archive: hello }],
    ],
  ])("%s", async (_, layers) => {
    expect(await output(await write([{ archive: base }, ...layers()]), "cat /hello")).toBe("hello\n");
  });

  test("foreign ones are refused", async () => {
    const mediaType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    const name = await write([{ archive: base }, { archive: hello, mediaType, urls: ["https://example.com/layer"] }]);
    expect(await refusal(name, { command: ["/bin/true"] })).toContain("is a foreign one");
  });

  test("a name that leads out is refused by name, and the refusal is final", async () => {
    const name = await image([[file("a/../../etc/passwd", "x")]]);
    expect(await refusal(name, { command: ["/bin/true"] })).toContain(
      'an entry has the name "a/../../etc/passwd", which leads out of the image',
    );
  });

  test("whiteouts below a symlink and of what is not there", async () => {
    const name = await image([
      [directory("real/"), file("real/x"), file("real/y"), symlink("link", "real")],
      [symlink("link", "real"), file("link/.wh.x"), file("no/such/.wh.z"), file("real/.wh.x")],
    ]);
    expect(await output(name, "ls /link")).toBe("y\n");
  });
});

test("a program that handles SIGTERM is stopped by it", async () => {
  const script =
    'trap "echo terminated; exit 0" TERM; trap "echo interrupted; exit 1" INT; echo up; while :; do sleep 0.05; done';
  const task = await bench.started({
    config: { image: await image([]), network_veth: false, command: ["/bin/sh", "-c", script] },
  });
  await task.stdout.waitFor("up");
  await bench.client().stopTask(task.id, { timeout: 20_000 });
  await task.stdout.waitFor("terminated");
});
