/** image_download through the plugin: natively, and by systemd-importd. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encode } from "@msgpack/msgpack";
import { Driver } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { run } from "../../tools/command";
import { diskImage } from "../../tools/images/images";
import { timeoutScale } from "../../tools/timeout-scale";
import { type Fixture, useFixture } from "../protocol/fixture";
import { runTask } from "../protocol/host-paths";
import { sentence } from "../protocol/inside";
import { makeCertificate } from "../support/certificate";
import { type DownloadSite, keepMachines, startDownloadSite } from "../support/download-site";
import { pushImage } from "../support/oci-images";
import { startRegistry, type TestRegistry } from "../support/registry";

const machines = "/var/lib/machines";
const top = await mkdtemp(join(tmpdir(), "image-download-"));
let site: DownloadSite;
let registry: TestRegistry;
let bench: Fixture;
let kept: AsyncDisposable;
beforeAll(async () => {
  kept = await keepMachines();
  site = await startDownloadSite();
  registry = await startRegistry();
  // systemd-importd is not used, because only the driver knows this certificate.
  await makeCertificate(top, "ca", ["DNS:nobody"]);
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
  await rm(top, { recursive: true, force: true });
  await kept[Symbol.asyncDispose]();
});

/** Polls for a condition that no event reports to a test. */
async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("It did not happen.");
    await Bun.sleep(20);
  }
}

/** Puts the images on the site that the tests download. */
async function packImages(): Promise<void> {
  const archive = `--file=${site.directory}/busybox.tar.xz`;
  await run(["tar", "--create", "--xz", archive, `--directory=${bench.busybox}`, "--numeric-owner", "."]);
  await run(["cp", await diskImage(), `${site.directory}/busybox.raw`]);
  await run(["xz", "-0", "--force", `${site.directory}/busybox.raw`]);
  await run(["truncate", "--size=1M", `${site.directory}/broken.tar.xz`]);
  await site.writeSums();
}

const native = { registry: { ca: join(top, "ca.pem") } };
let counter = 0;

describe.each([
  ["natively", native],
  ["by systemd-importd", {}],
] as const)("%s", (how, pluginConfig) => {
  useFixture(
    (opened) => {
      bench = opened;
    },
    { ...pluginConfig, image_store: join(top, "store") },
  );
  beforeAll(packImages);

  const spec = (download: object, script: string, more: object = {}) => {
    counter += 1;
    const name = `download-${counter}`;
    const image_download = { url: `${site.url}/busybox.tar.xz`, ...download };
    const command = ["/bin/sh", "-c", script];
    return {
      config: { image: name, boot: false, network_veth: false, ephemeral: true, command, image_download, ...more },
    };
  };
  const refused = async (download: object, more: object = {}) => {
    const task = spec(download, "true", more);
    return sentence(bench.start(await bench.task(task)));
  };

  test("an archive, downloaded once for all tasks that ask", async () => {
    const task = spec({ verify: "checksum" }, "cat /etc/passwd | head -n 1");
    site.requests.length = 0;
    const all = await Promise.all([1, 2, 3].map(() => bench.finished(task)));
    for (const { stdout, code } of all) expect([stdout, code]).toEqual(["root:x:0:0:root:/root:/bin/sh\n", 0]);
    expect(site.requests.filter((path) => path.endsWith(".tar.xz"))).toHaveLength(1);
    expect((await bench.finished(task)).code).toBe(0);
    expect(site.requests.filter((path) => path.endsWith(".tar.xz"))).toHaveLength(1);
    await rm(join(machines, task.config.image), { recursive: true });
    expect((await bench.finished(task)).code).toBe(0);
    expect(site.requests.filter((path) => path.endsWith(".tar.xz"))).toHaveLength(2);
    await rm(join(machines, task.config.image), { recursive: true });
  });

  test("one with the root directory in a single directory", async () => {
    const file = `${site.directory}/inside.tar`;
    await run([
      "tar",
      "--create",
      `--file=${file}`,
      "--transform=s,^\\.,inside-1,",
      `--directory=${bench.busybox}`,
      ".",
    ]);
    const task = spec({ url: `${site.url}/inside.tar` }, "echo started");
    expect((await bench.finished(task)).stdout).toBe("started\n");
    await rm(join(machines, task.config.image), { recursive: true });
  });

  test("one compressed by zstd", async () => {
    await run([
      "tar",
      "--create",
      "--zstd",
      `--file=${site.directory}/busybox.tar.zst`,
      `--directory=${bench.busybox}`,
      ".",
    ]);
    const task = spec({ url: `${site.url}/busybox.tar.zst` }, "echo started");
    expect((await bench.finished(task)).stdout).toBe("started\n");
    await rm(join(machines, task.config.image), { recursive: true });
  });

  test("a disk image", async () => {
    const task = spec({ url: `${site.url}/busybox.raw.xz`, type: "raw" }, "echo started");
    expect((await bench.finished(task)).stdout).toBe("started\n");
    expect(existsSync(join(machines, `${task.config.image}.raw`))).toBe(true);
    await rm(join(machines, `${task.config.image}.raw`));
  });

  test("force replaces", async () => {
    const task = spec({ force: true }, "test -e /marker; echo $?");
    expect((await bench.finished(task)).stdout).toBe("1\n");
    await writeFile(join(machines, task.config.image, "marker"), "");
    expect((await bench.finished(task)).stdout).toBe("1\n");
    await rm(join(machines, task.config.image), { recursive: true });
  });

  test("a long download is reported in task events", async () => {
    site.delay = 1500;
    try {
      const { events } = await runTask(bench, spec({}, "true"));
      expect(events.some((text) => /^Downloading image download-\d+/.test(text))).toBe(true);
      expect(events.some((text) => /^Downloaded image download-\d+: .*in \d\.\d s$/.test(text))).toBe(true);
    } finally {
      site.delay = 0;
    }
  });

  /** While `work` runs, every answer takes longer than the test. */
  const stalled = async (work: () => Promise<unknown>) => {
    site.delay = 20_000;
    site.requests.length = 0;
    site.dropped.length = 0;
    try {
      await work();
    } finally {
      site.delay = 0;
    }
  };

  test("ends when the agent has exited", async () => {
    await stalled(async () => {
      const gone = new AbortController();
      const task = await bench.task(spec({}, "true"));
      const start = sentence(
        bench.client().grpc.unary(Driver.method.startTask, { task: task.config }, { signal: gone.signal }),
      );
      await until(() => site.requests.length > 0);
      gone.abort();
      await start;
      await until(() => site.dropped.length > 0);
    });
    await until(() => bench.plugin().logs.some((line) => String(line["error"]).includes("was cancelled")));
  });

  if (how === "natively") {
    test("the next plugin removes what a killed plugin left", async () => {
      const scratch = async () => (await readdir(machines)).filter((name) => name.startsWith(".#nomad"));
      await stalled(async () => {
        const begun = sentence(bench.start(await bench.task(spec({}, "true"))));
        await until(() => site.requests.length > 0);
        expect(await scratch()).toHaveLength(1);
        await bench.replacePlugin();
        await begun;
      });
      expect(await scratch()).toHaveLength(1);
      const task = spec({}, "true");
      expect((await bench.finished(task)).code).toBe(0);
      expect(await scratch()).toEqual([]);
      await rm(join(machines, task.config.image), { recursive: true });
    });
  }

  if (how === "by systemd-importd") {
    const archive = "/busybox.tar.xz";
    const asked = (path = archive) => site.requests.filter((one) => one === path).length;
    const ours = async (start: string) => (await readdir(machines)).filter((name) => name.startsWith(start));

    /** Kills the plugin while importd waits for the archive; returns a function that lets importd continue. */
    const killed = async (task: ReturnType<typeof spec>) => {
      site.requests.length = 0;
      site.dropped.length = 0;
      const go = site.hold(archive);
      const begun = sentence(bench.start(await bench.task(task)));
      await until(() => asked() > 0);
      await bench.replacePlugin();
      await begun;
      return go;
    };
    /** Waits until a start has reached its download: its directory differs from the killed one's. */
    const downloading = async (before: bigint) => {
      for (const deadline = performance.now() + 20_000; performance.now() < deadline; await Bun.sleep(20)) {
        const [name = ""] = await ours(".#nomad");
        const found = await stat(join(machines, name), { bigint: true }).catch(() => undefined);
        // The driver then asks importd what it is doing.
        if (name !== "" && found !== undefined && found.birthtimeNs !== before) return Bun.sleep(1000 * timeoutScale);
      }
      throw new Error("The start did not come to its download.");
    };
    const scratchTime = async () => {
      const [name = ""] = await ours(".#nomad");
      return (await stat(join(machines, name), { bigint: true })).birthtimeNs;
    };

    test.each([false, true])(
      "of a killed plugin continues, and the next start resumes it: force = %j",
      async (force) => {
        const task = spec({ force }, "echo started");
        const go = await killed(task);
        const before = await scratchTime();
        const again = bench.finished(task);
        await downloading(before);
        go();
        expect((await again).stdout).toBe("started\n");
        expect(asked()).toBe(1);
        expect(await ours("nomad-driver-nspawn-")).toEqual([]);
        await rm(join(machines, task.config.image), { recursive: true });
      },
    );

    test("of a killed plugin is cancelled if another image is wanted by then", async () => {
      await run(["cp", `${site.directory}${archive}`, `${site.directory}/other.tar.xz`]);
      const task = spec({}, "echo started");
      const go = await killed(task);
      const image_download = { url: `${site.url}/other.tar.xz` };
      expect((await bench.finished({ config: { ...task.config, image_download } })).stdout).toBe("started\n");
      await until(() => site.dropped.includes(archive));
      go();
      expect([asked(), asked("/other.tar.xz")]).toEqual([1, 1]);
      await rm(join(machines, task.config.image), { recursive: true });
    });

    test("of a killed plugin never becomes the image by itself, and is removed by the next download", async () => {
      const task = spec({}, "echo started");
      (await killed(task))();
      for (const deadline = performance.now() + 20_000; performance.now() < deadline; await Bun.sleep(50)) {
        if ((await ours("nomad-driver-nspawn-")).length > 0) break;
      }
      expect(await ours("nomad-driver-nspawn-")).toHaveLength(1);
      expect(existsSync(join(machines, task.config.image))).toBe(false);
      expect((await bench.finished(task)).stdout).toBe("started\n");
      expect(await ours("nomad-driver-nspawn-")).toEqual([]);
      expect(await ours(".#nomad")).toEqual([]);
      await rm(join(machines, task.config.image), { recursive: true });
    });
  }

  test.each([
    [
      "a user and password",
      (url: string) => url.replace("://", "://me:geheim%20word@").replace(/(\d)\//, "$1/private/"),
    ],
    ["a query", (url: string) => `${url}?token=geheim`],
    ["a fragment", (url: string) => `${url}#geheim`],
  ] as const)("%s of a URL is in no argument vector, log, event or error", async (_name, secretly) => {
    const since = (await run(["date", "+%s"])).stdout.trim();
    const task = spec({ url: secretly(`${site.url}/busybox.tar.xz`) }, "echo started");
    const path = task.config.image_download.url.includes("/private/") ? "/private/busybox.tar.xz" : "/busybox.tar.xz";
    site.requests.length = 0;
    const go = site.hold(path);
    const running = runTask(bench, task);
    await until(() => site.requests.includes(path));
    const vectors = [];
    for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
      vectors.push(await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""));
    }
    go();
    const { stdout, events } = await running;
    expect(stdout).toBe("started\n");
    const wrong = await refused({ url: secretly(`${site.url}/nowhere.tar.xz`) });
    expect(wrong).toMatch(/404/);
    const journal = (await run(["journalctl", "--quiet", `--since=@${since}`])).stdout;
    const logs = JSON.stringify(bench.plugin().logs);
    expect(vectors.join("\n")).not.toContain("geheim");
    for (const text of [events.join("\n"), wrong, journal, logs]) expect(text).not.toContain("geheim");
    await rm(join(machines, task.config.image), { recursive: true });
  });

  test.each(["http://me:geheim@:1/a", "htp://me:geheim@host/a.tar", "https:///me:geheim@", "x?token=geheim"])(
    "an invalid URL does not show its credentials: %s",
    async (url) => {
      const problem = await refused({ url });
      expect(problem).toContain("Option image_download.url is not valid");
      expect(problem).not.toContain("geheim");
    },
  );

  test("an image that a running container uses is not replaced", async () => {
    const first = spec({}, "echo up; while :; do sleep 1; done", { ephemeral: false });
    const task = await bench.task(first);
    await bench.start(task);
    await task.stdout.waitFor("up\n");
    const path = join(machines, first.config.image);
    const before = (await stat(path)).ino;
    const again = { ...first.config, image_download: { ...first.config.image_download, force: true } };
    expect(await sentence(bench.start(await bench.task({ config: again })))).toContain(
      `${path} is in use by a container`,
    );
    expect((await stat(path)).ino).toBe(before);
    await bench.client().destroyTask(task.id, true);
    await rm(path, { recursive: true });
  });

  test("an image that is being copied for an ephemeral container is not replaced", async () => {
    const tree = join(top, `many-${how}`);
    await run(["cp", "-a", bench.busybox, tree]);
    await mkdir(join(tree, "many"));
    for (let number = 0; number < 8_000; number++) await writeFile(join(tree, "many", String(number)), "x");
    await run(["tar", "--create", `--file=${site.directory}/many.tar`, `--directory=${tree}`, "."]);
    const many = spec({ url: `${site.url}/many.tar` }, "ls /many | wc -l");
    expect((await bench.finished(many)).stdout).toBe("8000\n");
    const task = await bench.task(many);
    await bench.start(task);
    const again = { ...many.config, image_download: { ...many.config.image_download, force: true } };
    expect(await sentence(bench.start(await bench.task({ config: again })))).toContain("is in use by a container");
    await task.stdout.waitFor("8000\n");
    // By then the container has its own copy.
    await bench.client().destroyTask(task.id, true);
    expect((await bench.finished({ config: again })).stdout).toBe("8000\n");
    await rm(join(machines, many.config.image), { recursive: true });
    await rm(join(site.directory, "many.tar"));
  }, 120_000);

  test("two images of one URL at once", async () => {
    const tasks = [spec({}, "echo one"), spec({}, "echo two")];
    const ends = await Promise.all(tasks.map((task) => bench.finished(task)));
    expect(ends.map(({ stdout }) => stdout)).toEqual(["one\n", "two\n"]);
    for (const { config } of tasks) await rm(join(machines, config.image), { recursive: true });
  });

  test.each([
    [{ url: "/nowhere.tar" }, {}, /cannot be read: ENOENT/],
    [{}, { image: "/srv/image" }, /it must be a name such as "debian"/],
    [{ verify: "signature" }, {}, /sign/],
  ] as const)("%j %j is refused", async (download, more, words) => {
    expect(await refused(download, more)).toMatch(words);
  });

  test("missing, damaged and changed images", async () => {
    expect(await refused({ url: `${site.url}/nowhere.tar` })).toMatch(/404/);
    expect(await refused({ url: `${site.url}/broken.tar.xz` })).toMatch(/./);
    await writeFile(join(site.directory, "SHA256SUMS"), `${"0".repeat(64)}  busybox.tar.xz\n`);
    const changed = await refused({ verify: "checksum" });
    await site.writeSums();
    expect(changed).toMatch(how === "natively" ? /but should be sha256:0000/ : /checksum/i);
    expect((await readdir(machines)).filter((name) => name.startsWith(".#nomad"))).toEqual([]);
  });
});

describe.each([
  ["natively", native],
  ["by systemd-importd", {}],
] as const)("a disk that is nearly full, %s", (_how, pluginConfig) => {
  useFixture(
    (opened) => {
      bench = opened;
    },
    { ...pluginConfig, gc: { image_min_free: "24MiB" }, image_store: join(top, "store-full") },
  );
  beforeAll(async () => {
    for (const size of [16, 36])
      await run(["dd", "if=/dev/urandom", `of=${site.directory}/${size}.raw`, "bs=1M", `count=${size}`]);
    await run(["tar", "--create", `--file=${site.directory}/36.tar`, `--directory=${site.directory}`, "36.raw"]);
  });

  test.each([
    ["has too little from the first", "16m", "16.raw", "raw"],
    ["would have too little: a disk image", "48m", "36.raw", "raw"],
    ["would have too little: an archive", "48m", "36.tar", "tar"],
  ])("%s", async (_name, size, file, type) => {
    await run(["mount", "-t", "tmpfs", "-o", `size=${size},mode=0700`, "tmpfs", machines]);
    try {
      const config = { image: "full", network_veth: false, image_download: { url: `${site.url}/${file}`, type } };
      site.requests.length = 0;
      expect(await sentence(bench.start(await bench.task({ config })))).toContain("image_min_free");
      if (size === "16m") expect(site.requests).toEqual([]);
      expect((await readdir(machines)).filter((name) => name !== ".#lock" && !name.endsWith(".lck"))).toEqual([]);
    } finally {
      await run(["umount", machines]);
    }
  });
});

describe("policy", () => {
  useFixture(
    (opened) => {
      bench = opened;
    },
    { ...native, image_paths: ["/srv/images"], image_store: join(top, "store-2") },
  );

  test("image_paths applies to downloaded images, and to local files that are imported", async () => {
    const start = async (image_download: object) =>
      sentence(bench.start(await bench.task({ config: { image: "policy", network_veth: false, image_download } })));
    expect(await start({ url: `${site.url}/busybox.tar.xz` })).toContain(
      "is /var/lib/machines/policy, which the plugin option image_paths does not allow",
    );
    expect(await start({ url: `docker://${registry.host}/team/app:1`, type: "docker" })).toContain(
      "image_paths does not allow",
    );
  });
});

describe("an image of a registry", () => {
  useFixture(
    (opened) => {
      bench = opened;
    },
    { ...native, image_store: join(top, "store-3") },
  );

  test("by image_download of type docker: the existing image is used, unless force is set", async () => {
    const push = (text: string) =>
      pushImage(registry, "team/app:1", {
        layers: [{ "usr/x": "" }],
        config: ["--config.entrypoint=/bin/nothing", `--config.env=TEXT=${text}`],
      });
    const download = (force: boolean) => ({ url: `docker://${registry.host}/team/app:1`, type: "docker", force });
    const task = (force: boolean) => ({
      config: {
        image: "named-by-the-job",
        network_veth: false,
        image_download: download(force),
        bind_read_only: { [bench.busybox]: "/busybox" },
        command: ["/busybox/usr/bin/busybox", "sh", "-c", "echo $TEXT"],
      },
    });
    await push("one");
    const said = async (force: boolean) => (await bench.finished(task(force))).stdout;
    const first = await said(false);
    await push("two");
    expect(await said(false)).toBe(first);
    expect(await said(true)).not.toBe(first);
  });
});

describe.each([
  ["natively", native],
  ["by systemd-importd", {}],
] as const)("garbage collection of what was downloaded %s", (how, pluginConfig) => {
  useFixture(
    (opened) => {
      bench = opened;
    },
    { ...pluginConfig, image_store: join(top, `store-gc-${how.length}`), gc: { image_delay: "1s" } },
  );
  beforeAll(packImages);
  const there = (name: string) => existsSync(join(machines, name));
  const spec = (image: string, more: object = {}) => ({
    config: {
      image,
      boot: false,
      network_veth: false,
      command: ["/bin/sh", "-c", "echo up; sleep 1000"],
      image_download: { url: `${site.url}/busybox.tar.xz`, verify: "no" },
      ...more,
    },
  });
  const up = async (image: string, more: object = {}) => {
    const task = await bench.started(spec(image, more));
    await task.stdout.waitFor("up");
    return task;
  };
  const name = (text: string) => `gc-${how.length}-${text}`;

  test.each([
    ["a tree on which the driver makes roots", { ephemeral: true }, ""],
    ["a tree that is mounted read-only", { read_only: true, volatile: "overlay" }, ""],
    ["a disk image that is copied", { ephemeral: true, type: "raw" }, ".raw"],
  ] as const)("%s is removed when no task has used it for gc.image_delay", async (what, { ...options }, end) => {
    const raw = end === ".raw";
    const { type: _, ...more } = { type: "", ...options };
    const image_download = {
      url: `${site.url}/busybox.${raw ? "raw" : "tar"}.xz`,
      type: raw ? "raw" : "tar",
      verify: "no",
    };
    const image = name(`unused-${what.length}`);
    const task = await up(image, { ...more, image_download });
    expect(there(image + end)).toBe(true);
    if (!raw) {
      await Bun.sleep(2500);
      expect(there(image + end)).toBe(true);
    }
    await bench.client().destroyTask(task.id, true);
    await until(() => !there(image + end));
    expect((await readdir(machines)).filter((entry) => entry.includes(image))).toEqual([]);
  });

  test("what a task wrote into is kept, unless the image is its allocation's own, which goes with the allocation", async () => {
    const shared = await up(name("written"), { user_namespacing: false });
    const task = await bench.task(spec("", { user_namespacing: false }));
    const own = `own-${task.config.allocId}`;
    task.config.msgpackDriverConfig = encode(spec(own, { user_namespacing: false }).config);
    await bench.start(task);
    await task.stdout.waitFor("up");
    for (const { id } of [shared, task]) await bench.client().destroyTask(id, true);
    await Bun.sleep(2500);
    expect([there(own), there(name("written"))]).toEqual([true, true]);
    await rm(task.config.allocDir, { recursive: true });
    await until(() => !there(own));
    expect(there(name("written"))).toBe(true);
    await rm(join(machines, name("written")), { recursive: true });
  });

  test("images that the driver did not download, or that were replaced, are kept", async () => {
    await run(["cp", "--archive", bench.busybox, join(machines, name("foreign"))]);
    const foreign = await up(name("foreign"), { ephemeral: true });
    const replaced = await up(name("replaced"), { ephemeral: true });
    // Before the task ends: an unused image may be gone at any moment.
    await run(["mv", join(machines, name("replaced")), join(machines, name("old"))]);
    await run(["cp", "--archive", bench.busybox, join(machines, name("replaced"))]);
    for (const { id } of [foreign, replaced]) await bench.client().destroyTask(id, true);
    await Bun.sleep(2500);
    expect([there(name("foreign")), there(name("replaced"))]).toEqual([true, true]);
    for (const left of ["foreign", "replaced", "old"]) await rm(join(machines, name(left)), { recursive: true });
  });
});
