/**
 * How close a pull is to what the machine can do: each stage of it alone (receiving from the registry, the digest of what is received,
 * decompressing, the digest of the content, writing the files), and the driver's pull of an image whose content is one layer; in the same run
 * that of another version, if dist/peer has one (see versions.ts). And how long a small image takes that has to be pulled, compared with
 * one that is in the store. Runs on this machine in its own mount namespace, see run.ts.
 */

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createGunzip } from "node:zlib";
import { decompressor } from "../src/image/compression/decompress";
import { DriverClient } from "../test/support/driver-client";
import { archiveOf, compressed, writeImage } from "../test/support/oci-image";
import { type PluginProcess, startPlugin } from "../test/support/plugin-process";
import { startRegistry } from "../test/support/registry";
import { driverBinary } from "../tools/build/project";
import { attempt, run } from "../tools/command";
import { busyboxImage } from "../tools/images/images";
import { layer } from "./layer-content";
import { startOnce } from "./start-once";
import { median, ms } from "./statistics";

const mebibyte = 1024 * 1024;
const sizes = [
  { mebibytes: 64, rounds: 5 },
  { mebibytes: 1024, rounds: 3 },
] as const;
const starts = 25;
const command = ["/bin/sh", "-c", "echo up; exec sleep 1000"];
const piece = 256 * 1024;

async function timed(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Milliseconds of CPU time of processes and their children that have ended (proc_pid_stat(5)). */
function cpuTime(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ").slice(11, 15) ?? [];
    return sum + fields.reduce((ticks, field) => ticks + Number(field), 0) * 10;
  }, 0);
}

async function receive(url: string): Promise<void> {
  const { status, body } = await fetch(url, { decompress: false });
  if (status !== 200 || body === null) throw new Error(`${url}: HTTP status ${status}`);
  for await (const _ of body);
}

async function decompress(stored: Buffer): Promise<void> {
  const target = decompressor("gzip", () => {});
  for (let at = 0; at < stored.length; at += piece) await target.write(stored.subarray(at, at + piece));
  await target.end();
}

/** As programs of Node usually do it. */
async function decompressAsStream(stored: Uint8Array): Promise<void> {
  const stream = createGunzip({ chunkSize: 128 * 1024 });
  const end = Promise.withResolvers<void>();
  stream.on("data", () => {});
  stream.on("end", end.resolve);
  stream.on("error", end.reject);
  for (let at = 0; at < stored.length; at += piece) {
    if (stream.write(stored.subarray(at, at + piece))) continue;
    await new Promise<void>((resolve) => stream.once("drain", resolve));
  }
  stream.end();
  await end.promise;
}

/** A version of the driver. */
interface Version {
  readonly plugin: PluginProcess;
  readonly client: DriverClient;
}

/** What all rounds share. */
interface Bench {
  readonly scratch: string;
  /** HOST:PORT */
  readonly host: string;
  readonly own: Version;
  readonly peer: Version | undefined;
}

/** Starts with an empty store. Its files stay until the end, see freshDisk(). @returns milliseconds of all, and of the pull in it */
async function pullAndStart({ scratch }: Bench, { plugin, client }: Version, image: string) {
  await client.setConfig({ image_store: await mkdtemp(join(scratch, "store-")) });
  const before = plugin.logs.length;
  const all = await startOnce(client, { config: { image, boot: false, network_veth: false, command } });
  const fetched = plugin.logs.slice(before).find((line) => line["@message"] === "image fetched");
  return { all, pull: Number(fetched?.["ms"]) };
}

async function push({ scratch, host }: Bench, name: string, contents: readonly Uint8Array[]): Promise<string> {
  const layout = await mkdtemp(join(scratch, "layout-"));
  const image = await writeImage(
    layout,
    "1",
    contents.map((archive) => ({ archive })),
  );
  await run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", image, `docker://${host}/${name}:1`]);
  return `${host}/${name}:1`;
}

interface Work {
  readonly name: string;
  /** Whether it is one of the stages; otherwise it is shown for comparison. */
  readonly stage: boolean;
  /** PIDs whose processor time counts, with that of their children. */
  readonly pids: readonly number[];
  /** Does it; resolves with milliseconds. */
  readonly run: () => Promise<number>;
}

/** The stages of an image with one layer, and its pulls. */
async function worksOf(bench: Bench, archive: Buffer, stored: Buffer, name: string): Promise<Work[]> {
  const image = await push(bench, name, [await archiveOf(await busyboxImage()), archive]);
  const file = join(bench.scratch, `${name}.tar`);
  await writeFile(file, archive);
  const url = `http://${bench.host}/v2/${name}/blobs/sha256:${createHash("sha256").update(stored).digest("hex")}`;
  const write = async () => {
    const tree = await mkdtemp(join(bench.scratch, "tree-"));
    await run(["tar", "-xf", file, "-C", tree]);
  };
  const here = (what: string, work: () => unknown, stage = true): Work => {
    return { name: what, stage, pids: [process.pid], run: () => timed(work) };
  };
  const pull = (what: string, version: Version): Work => {
    const pids = [version.plugin.pid];
    return { name: what, stage: false, pids, run: async () => (await pullAndStart(bench, version, image)).pull };
  };
  return [
    here("receive from the registry", () => receive(url)),
    here("digest of what is received", () => createHash("sha256").update(stored).digest()),
    here("decompress", () => decompress(stored)),
    here("digest of the content", () => createHash("sha256").update(archive).digest()),
    here("write the files (tar)", write),
    here("decompress with a stream of Node", () => decompressAsStream(stored), false),
    pull("pull", bench.own),
    ...(bench.peer === undefined ? [] : [pull("pull, version in dist/peer", bench.peer)]),
  ];
}

async function stages(bench: Bench, mebibytes: number, rounds: number): Promise<void> {
  const archive = Buffer.from(layer(1, mebibytes * mebibyte).archive);
  const stored = Buffer.from(compressed(archive, "gzip"));
  const works = await worksOf(bench, archive, stored, `large-${mebibytes}`);
  const results = works.map(({ name, stage }) => ({ name, stage, time: [] as number[], cpu: [] as number[] }));
  for (let round = 0; round <= rounds; round += 1) {
    for (const [index, work] of works.entries()) {
      await run(["sync"]);
      const before = cpuTime(work.pids);
      const time = await work.run();
      if (round === 0) continue;
      results[index]?.time.push(time);
      results[index]?.cpu.push(cpuTime(work.pids) - before);
    }
  }
  const alone = results.filter(({ stage }) => stage);
  const slowest = Math.max(...alone.map(({ time }) => median(time)));
  const both = (values: readonly number[]) => values.reduce((sum, each) => sum + each, 0) / 2;
  const half = both(alone.map(({ time }) => median(time)));
  const halfCpu = both(alone.map(({ cpu }) => median(cpu)));
  console.log(
    `| ${mebibytes} MiB in one layer, ${(stored.length / mebibyte).toFixed(0)} MiB stored, median of ${rounds} | time | ratio to the slowest stage | CPU time |`,
  );
  console.log("| --- | --- | --- | --- |");
  const row = (name: string, time: number, cpu: number, spread = "") =>
    console.log(`| ${name} | ${ms(time)}${spread} | ${(time / slowest).toFixed(2)} | ${cpu.toFixed(0)} ms |`);
  for (const { name, time, cpu } of results) {
    const spread = name.startsWith("pull") ? ` (${ms(Math.min(...time))} to ${ms(Math.max(...time))})` : "";
    row(name, median(time), median(cpu), spread);
  }
  row("all stages, spread over two cores", half, halfCpu);
  console.log("");
}

async function smallImage(bench: Bench): Promise<void> {
  const image = await push(bench, "small", [await archiveOf(await busyboxImage())]);
  const pulled: number[] = [];
  const stored: number[] = [];
  for (let round = 0; round <= starts; round += 1) {
    const times = [
      (await pullAndStart(bench, bench.own, image)).all,
      await startOnce(bench.own.client, { config: { image, boot: false, network_veth: false, command } }),
    ];
    if (round === 0) continue;
    pulled.push(times[0] ?? Number.NaN);
    stored.push(times[1] ?? Number.NaN);
  }
  const ratio = median(pulled) / median(stored);
  console.log(
    `small image, median of ${starts}: pulled ${ms(median(pulled))}, in the store ${ms(median(stored))}, ratio ${ratio.toFixed(2)}`,
  );
}

/**
 * An empty ext4 in a file: on a file system on which tests delete many files, ext4 creates others slowly for minutes, because it reuses no
 * inode that was deleted recently. Measured: 0.4 ms per file, also for tar. Without loop devices it is a directory of the disk.
 */
async function freshDisk(made: AsyncDisposableStack): Promise<string> {
  const scratch = await mkdtemp("/var/tmp/bench-stages-");
  made.defer(() => rm(scratch, { recursive: true, force: true }));
  const file = join(scratch, "disk");
  const disk = join(scratch, "mounted");
  await mkdir(disk);
  await run(["truncate", "--size=24G", file]);
  await run(["mkfs.ext4", "-q", file]);
  if ((await attempt(["mount", "-o", "loop", file, disk])).code === 0) {
    made.defer(async () => {
      await run(["umount", "--lazy", disk]);
    });
  } else console.log("loop devices cannot be used: measured on the disk of /var/tmp");
  return disk;
}

async function version(made: AsyncDisposableStack, binary: string): Promise<Version> {
  const plugin = made.use(await startPlugin({ binary }));
  return { plugin, client: made.use(new DriverClient(plugin.socket)) };
}

async function main(): Promise<void> {
  await using made = new AsyncDisposableStack();
  const scratch = await freshDisk(made);
  const registry = made.use(await startRegistry());
  const own = await version(made, driverBinary());
  const other = join(dirname(driverBinary()), "peer/nomad-driver-nspawn");
  const peer = existsSync(other) ? await version(made, other) : undefined;
  const bench: Bench = { scratch, host: registry.host, own, peer };
  await smallImage(bench);
  for (const { mebibytes, rounds } of sizes) await stages(bench, mebibytes, rounds);
}

await main();
