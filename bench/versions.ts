/**
 * The built binary compared with that of another version, dist/peer/nomad-driver-nspawn, alternating in one run: starts from a directory and
 * from a stored image, and pulls of an OCI layout. Runs inside a test host, see run.ts. To compare with a commit:
 * `git worktree add /tmp/peer COMMIT`, build there, and copy its binary to dist/peer.
 */

import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DriverClient } from "../test/support/driver-client";
import { archiveOf, writeImage } from "../test/support/oci-image";
import { type PluginProcess, startPlugin } from "../test/support/plugin-process";
import { archive, file } from "../test/support/tar-archive";
import type { TaskSpec } from "../test/support/task";
import { driverBinary } from "../tools/build/project";
import { busyboxImage } from "../tools/images/images";
import { startOnce } from "./start-once";
import { median, ms } from "./statistics";

const rounds = 80;
const pullRounds = 25;
const pullBytes = 64 * 1024 * 1024;
const command = ["/bin/sh", "-c", "echo up; exec sleep 1000"];

/** Both versions, each with a plugin of its own and an image store of its own. */
interface Version {
  readonly plugin: PluginProcess;
  readonly client: DriverClient;
  store: string;
}

async function open(made: AsyncDisposableStack, scratch: string, binary: string): Promise<Version> {
  const plugin = made.use(await startPlugin({ binary }));
  const client = made.use(new DriverClient(plugin.socket));
  const version = { plugin, client, store: "" };
  await emptyStore(version, scratch);
  return version;
}

async function emptyStore(version: Version, scratch: string): Promise<void> {
  const last = version.store;
  version.store = await mkdtemp(join(scratch, "store-"));
  await version.client.setConfig({ image_store: version.store });
  if (last !== "") await rm(last, { recursive: true, force: true });
}

/** Times of the two versions, alternating; which one goes first alternates too. The first round is not counted. */
async function alternate(count: number, versions: readonly [Version, Version], work: (of: Version) => Promise<number>) {
  const times: [number[], number[]] = [[], []];
  for (let round = 0; round <= count; round += 1) {
    const order = round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const);
    for (const index of order) {
      const time = await work(versions[index]);
      if (round > 0) times[index].push(time);
    }
  }
  return times;
}

async function main(): Promise<void> {
  const peer = join(dirname(driverBinary()), "peer/nomad-driver-nspawn");
  if (!existsSync(peer)) {
    console.log(`${peer} does not exist: nothing to compare with.`);
    return;
  }
  await using made = new AsyncDisposableStack();
  const scratch = await mkdtemp(join(tmpdir(), "bench-versions-"));
  made.defer(() => rm(scratch, { recursive: true, force: true }));
  const tree = await busyboxImage();
  const noise = crypto.getRandomValues(Buffer.alloc(64 * 1024));
  const data = Buffer.concat(Array.from({ length: pullBytes / noise.length }, () => noise));
  const small = await writeImage(join(scratch, "small"), "1", [{ archive: await archiveOf(tree) }]);
  const large = await writeImage(join(scratch, "large"), "1", [
    { archive: await archiveOf(tree) },
    { archive: archive([file("data", "", { data })]) },
  ]);
  const versions = [await open(made, scratch, driverBinary()), await open(made, scratch, peer)] as const;
  const spec = (image: string, more = {}): TaskSpec => ({
    config: { image, boot: false, network_veth: false, command, ...more },
  });
  const rows = [
    [
      "start from a directory",
      await alternate(rounds, versions, (v) => startOnce(v.client, spec(tree, { volatile: "overlay" }))),
    ],
    ["start from a stored image", await alternate(rounds, versions, (v) => startOnce(v.client, spec(small)))],
    [
      `pull of ${pullBytes / 2 ** 20} MiB and start`,
      await alternate(pullRounds, versions, async (version) => {
        await emptyStore(version, scratch);
        return startOnce(version.client, spec(large));
      }),
    ],
  ] as const;
  console.log("| median | this version | the other one | ratio |\n| --- | --- | --- | --- |");
  for (const [name, [own, other]] of rows) {
    const ratio = median(own) / median(other);
    console.log(`| ${name} | ${ms(median(own))} | ${ms(median(other))} | ${ratio.toFixed(3)} |`);
  }
}

await main();
