/**
 * Time and memory from an image of a gigabyte in a registry on this machine to a running container, compared with skopeo and umoci,
 * and with podman, which only create the root. Also the cost of the second start, compared with a start from a directory. Runs on
 * this machine in its own mount namespace, see run.ts.
 */

import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { DriverClient } from "../test/support/driver-client";
import { archiveOf, type Layer, writeImage } from "../test/support/oci-image";
import { startPlugin } from "../test/support/plugin-process";
import { startRegistry } from "../test/support/registry";
import { driverBinary } from "../tools/build/project";
import { attempt, run } from "../tools/command";
import { busyboxImage } from "../tools/images/images";
import { layer } from "./layer-content";
import { startOnce } from "./start-once";
import { median, ms } from "./statistics";

const layers = 8;
const layerBytes = 128 * 1024 * 1024;
const rounds = 5;
const starts = 30;
const sampleMs = 25;
const command = ["/bin/sh", "-c", "echo up; exec sleep 1000"];

async function timed(work: () => Promise<unknown>): Promise<number> {
  await run(["sync"]);
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** The plugin's processes that pull an image; the container that is started afterwards is not included. */
const pullWords = ["unpack", "sync-store"];

/**
 * Memory of a plugin and of its processes that pull an image, in bytes: their proportional shares (proc_pid_smaps(5)), so that shared
 * pages count once.
 */
async function memory(plugin: number): Promise<number> {
  const pids = [plugin];
  for (const thread of await readdir(`/proc/${plugin}/task`)) {
    const children = await readFile(`/proc/${plugin}/task/${thread}/children`, "utf8").catch(() => "");
    for (const pid of children.split(" ").filter((text) => text !== "")) {
      const [, word = ""] = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
      if (pullWords.includes(word)) pids.push(Number(pid));
    }
  }
  const shares = await Promise.all(
    pids.map(async (pid) => {
      const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "");
      return Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0) * 1024;
    }),
  );
  return shares.reduce((sum, each) => sum + each, 0);
}

/** Samples the memory of a process during some work; returns the maximum. */
async function mostMemory(pid: number, work: () => Promise<void>): Promise<number> {
  let most = 0;
  let over = false;
  const watch = (async () => {
    while (!over) {
      most = Math.max(most, await memory(pid));
      await Bun.sleep(sampleMs);
    }
  })();
  try {
    await work();
  } finally {
    over = true;
    await watch;
  }
  return most;
}

interface Bench {
  readonly scratch: string;
  /** HOST:PORT/NAME:TAG. */
  readonly image: string;
  /** A copy of the executable: of pages that other processes on this machine also use, only a share would count. */
  readonly binary: string;
}

async function throughSkopeo({ scratch, image }: Bench): Promise<number> {
  const top = await mkdtemp(join(scratch, "skopeo-"));
  const layout = join(top, "layout");
  const time = await timed(async () => {
    await run(["skopeo", "copy", "--quiet", "--src-tls-verify=false", `docker://${image}`, `oci:${layout}:image`]);
    await run(["umoci", "unpack", `--image=${layout}:image`, join(top, "bundle")]);
  });
  await rm(top, { recursive: true });
  return time;
}

async function throughPodman({ scratch, image }: Bench): Promise<number> {
  const top = await mkdtemp(join(scratch, "podman-"));
  const options = [`--root=${join(top, "root")}`, `--runroot=${join(top, "run")}`, "--storage-driver=overlay"];
  const podman = (...words: readonly string[]) =>
    run(["podman", ...options, ...words], { env: { ...process.env, TMPDIR: scratch } });
  const time = await timed(() => podman("pull", "--quiet", "--tls-verify=false", image));
  await attempt(["podman", ...options, "rmi", "--force", image]);
  await attempt(["umount", join(top, "root/overlay")]);
  await rm(top, { recursive: true });
  return time;
}

async function throughDriver({
  scratch,
  image,
  binary,
}: Bench): Promise<{ readonly time: number; readonly above: number }> {
  const store = await mkdtemp(join(scratch, "store-"));
  await using plugin = await startPlugin({ binary });
  using client = new DriverClient(plugin.socket);
  await client.setConfig({ image_store: store });
  await Bun.sleep(500);
  const idle = await memory(plugin.pid);
  let time = 0;
  const config = { image, network_veth: false, command };
  const most = await mostMemory(plugin.pid, async () => {
    time = await timed(() => startOnce(client, { config }));
  });
  // The layers are written to the disk in the background.
  await Bun.sleep(1000);
  await rm(store, { recursive: true, force: true });
  return { time, above: most - idle };
}

/** Starts from an image in the store, and from a directory with the same content, alternating. */
async function secondStarts(
  { scratch }: Bench,
  host: string,
): Promise<{ readonly stored: number[]; readonly plain: number[] }> {
  const tree = join(scratch, "tree");
  await cp(await busyboxImage(), tree, { recursive: true, verbatimSymlinks: true });
  await using plugin = await startPlugin();
  using client = new DriverClient(plugin.socket);
  await client.setConfig({ image_store: join(scratch, "second") });
  const spec = (image: string) => ({ config: { image, boot: false, network_veth: false, command } });
  const stored: number[] = [];
  const plain: number[] = [];
  for (let round = 0; round <= starts; round += 1) {
    const times = [await startOnce(client, spec(`${host}/busybox:1`)), await startOnce(client, spec(tree))];
    // The first start of each kind loads pages that later starts find in memory.
    if (round > 0) {
      stored.push(times[0] ?? Number.NaN);
      plain.push(times[1] ?? Number.NaN);
    }
  }
  return { stored, plain };
}

async function main(): Promise<void> {
  await using made = new AsyncDisposableStack();
  const scratch = await mkdtemp("/var/tmp/bench-pull-");
  made.defer(() => rm(scratch, { recursive: true, force: true }));
  const registry = made.use(await startRegistry());
  const busybox = { archive: await archiveOf(await busyboxImage()) };
  const layouts = join(scratch, "layouts");
  await mkdir(layouts);
  const push = async (name: string, tag: string, content: readonly Layer[]) => {
    const layout = join(layouts, name);
    const image = await writeImage(layout, tag, content);
    await run([
      "skopeo",
      "copy",
      "--quiet",
      "--dest-tls-verify=false",
      image,
      `docker://${registry.host}/${name}:${tag}`,
    ]);
    await rm(layout, { recursive: true });
  };
  await push("busybox", "1", [busybox]);
  await push("large", "1", [
    busybox,
    ...Array.from({ length: layers - 1 }, (_, index) => layer(index, layerBytes)),
    layer(layers, layerBytes),
  ]);
  const bench: Bench = { scratch, image: `${registry.host}/large:1`, binary: join(scratch, "nomad-driver-nspawn") };
  await copyFile(driverBinary(), bench.binary);

  const podmanRuns = (await attempt(["podman", "--version"])).code === 0;
  const driver: number[] = [];
  const above: number[] = [];
  const skopeo: number[] = [];
  const podman: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const own = await throughDriver(bench);
    driver.push(own.time);
    above.push(own.above);
    skopeo.push(await throughSkopeo(bench));
    if (podmanRuns) podman.push(await throughPodman(bench));
  }
  const gigabytes = ((layers * layerBytes) / 2 ** 30).toFixed(0);
  const row = (name: string, times: readonly number[]) =>
    `| ${name} | ${ms(median(times))} | ${(median(driver) / median(times)).toFixed(2)} |`;
  console.log(`| ${gigabytes} GiB in ${layers} layers, median of ${rounds} | time | driver's ratio to it |`);
  console.log("| --- | --- | --- |");
  console.log(row("driver, to the container's first output", driver));
  console.log(row("skopeo copy, umoci unpack", skopeo));
  if (podmanRuns) console.log(row("podman pull", podman));
  else console.log("podman is not installed, or does not run here: not compared");
  console.log(
    `\nmemory of the plugin and its processes above idle (PSS), most of ${rounds}: ${(Math.max(...above) / 2 ** 20).toFixed(1)} MiB`,
  );
  const { stored, plain } = await secondStarts(bench, registry.host);
  console.log(
    `second start: ${ms(median(stored))}, from a directory: ${ms(median(plain))}, ratio ${(median(stored) / median(plain)).toFixed(2)}, median of ${starts}`,
  );
}

await main();
