/**
 * Starts on directories and disk images of few and of many files, from the call until the container's first output: whether what a task discards, and a
 * user namespace, costs more than a plain start; and bare systemd-nspawn with the same switches in the same run. Runs inside a test host,
 * see run.ts.
 */

import { cp, mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DriverClient } from "../test/support/driver-client";
import { startPlugin } from "../test/support/plugin-process";
import { run } from "../tools/command";
import { busyboxImage } from "../tools/images/images";
import { startOnce } from "./start-once";
import { median, ms } from "./statistics";

const rounds = 15;
const bareRounds = 3;
const sizes = [5_000, 100_000];
const perDirectory = 1000;

/** A row of the table: the task's options, and the same for systemd-nspawn. */
interface Kind {
  readonly name: string;
  readonly config: object;
  readonly switches: readonly string[];
}

const mapped = ["--private-users=pick", "--private-users-ownership=auto"];
const plain: Kind = { name: "plain", config: { volatile: "no" }, switches: mapped };
const overlay: Kind = {
  name: "volatile = overlay, without user namespace",
  config: { volatile: "overlay", user_namespacing: false },
  switches: ["--volatile=overlay"],
};
const kinds: readonly (Kind & { readonly against: Kind })[] = [
  {
    name: "ephemeral",
    config: { ephemeral: true, volatile: "no" },
    switches: ["--ephemeral", ...mapped],
    against: plain,
  },
  {
    name: "volatile = overlay, with user namespace",
    config: { volatile: "overlay" },
    switches: ["--volatile=overlay", ...mapped],
    against: overlay,
  },
];

async function makeTree(directory: string, files: number): Promise<void> {
  await cp(await busyboxImage(), directory, { recursive: true, verbatimSymlinks: true });
  for (const name of ["alloc", "local", "secrets"]) await mkdir(join(directory, name), { recursive: true });
  for (let index = 0; index < files; index += 1) {
    const parent = join(directory, "srv", String(Math.floor(index / perDirectory)));
    if (index % perDirectory === 0) await mkdir(parent, { recursive: true });
    await writeFile(join(parent, String(index)), "a file of this tree\n");
  }
}

function throughDriver(client: DriverClient, image: string, { config }: Kind): Promise<number> {
  const common = { image, boot: false, network_veth: false };
  return startOnce(client, {
    config: { ...common, ...config, command: ["/bin/sh", "-c", "echo up; exec sleep 1000"] },
  });
}

async function bare(image: string, { switches }: Kind): Promise<number> {
  const isDisk = (await stat(image)).isFile();
  const argv = [
    "systemd-nspawn",
    "--quiet",
    "--pipe",
    `--machine=bench-${crypto.randomUUID()}`,
    `${isDisk ? "--image" : "--directory"}=${image}`,
  ];
  const start = performance.now();
  const child = Bun.spawn([...argv, ...switches, "--", "/bin/sh", "-c", "echo up"], {
    env: process.env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { value } = await child.stdout.getReader().read();
  const time = performance.now() - start;
  if (value === undefined || (await child.exited) !== 0) throw new Error(`systemd-nspawn ${switches.join(" ")} failed`);
  return time;
}

async function measure(client: DriverClient, image: string, what: string): Promise<void> {
  for (const kind of kinds) {
    const times: [number[], number[]] = [[], []];
    const peer: number[] = [];
    for (let round = 0; round <= rounds; round += 1) {
      for (const index of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
        const time = await throughDriver(client, image, index === 0 ? kind : kind.against);
        if (round > 0) times[index].push(time);
      }
    }
    for (let round = 0; round < bareRounds; round += 1) peer.push(await bare(image, kind));
    const [own, other] = [median(times[0]), median(times[1])];
    console.log(
      `| ${kind.name} | ${what} | ${ms(own)} | ${kind.against.name}: ${ms(other)} | ${(own / other).toFixed(2)} | ${ms(median(peer))} |`,
    );
  }
}

const scratch = await mkdtemp("/var/tmp/bench-roots-");
try {
  await using plugin = await startPlugin();
  using client = new DriverClient(plugin.socket);
  await client.setConfig({ image_store: join(scratch, "store") });
  console.log(
    `| | image | driver, median of ${rounds} | against | ratio | bare systemd-nspawn, median of ${bareRounds} |`,
  );
  console.log("| --- | --- | --- | --- | --- | --- |");
  for (const files of sizes) {
    const image = join(scratch, `tree-${files}`);
    await makeTree(image, files);
    await measure(client, image, `directory, ${files} files`);
    const disk = `${image}.raw`;
    await run(["mke2fs", "-q", "-t", "ext4", "-N", String(2 * files), "-d", image, disk, "1G"]);
    await measure(client, disk, `disk image of 1 GiB, ${files} files`);
    for (const path of [image, disk]) await rm(path, { recursive: true });
  }
} finally {
  await rm(scratch, { recursive: true, force: true });
}
