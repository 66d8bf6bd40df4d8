/**
 * Tasks under a real agent, against the Go driver (JanMa/nomad-driver-nspawn) and Nomad's own exec: one start, from "Task Setup" to "Started";
 * and forty at once, from the submission to the last program's first line. The drivers have an agent each, because both are called
 * "nspawn"; they take turns, and the other agents are idle. Runs inside a test host, see run.ts.
 *
 * docs/performance.md says how the Go driver is built, and where its executable has to be.
 */

import { existsSync } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Nomad, startNomad } from "../test/nomad/harness/nomad";
import { cacheDir } from "../tools/images/cache";
import { busyboxImage } from "../tools/images/images";
import { median, ms } from "./statistics";

const SINGLE_ROUNDS = 9;
const TOGETHER = 40;
const TOGETHER_ROUNDS = 4;
/** How long forty tasks may take on a busy machine. */
const JOB_MS = 300_000;
/** Interval of looking for the programs' first lines; the files' times say when they were written. */
const LOOK_MS = 50;
/** How often between two questions whether the task has failed. */
const LOOKS_PER_QUESTION = 20;

const goDriver = join(cacheDir(), "peer-go/nspawn");

/**
 * On a machine with v1 controllers, what runs a command in the test host is in the machine's own cgroup, and PID 1 with its units in that of
 * the test host, which gets no more processor time than one process of the machine: an agent and its children would have the advantage.
 */
async function joinHost(): Promise<void> {
  for (const controller of ["cpu", "cpuacct"]) {
    const processes = `/sys/fs/cgroup/${controller}/cgroup.procs`;
    if (existsSync(processes)) await writeFile(processes, String(process.pid));
  }
}

const CPU_USAGE = "/sys/fs/cgroup/cpuacct/cpuacct.usage";

/** Milliseconds of CPU time of the whole test host so far; NaN where that is not known (pure cgroup v2). */
async function cpuTime(): Promise<number> {
  return existsSync(CPU_USAGE) ? Number(await readFile(CPU_USAGE, "utf8")) / 1e6 : Number.NaN;
}

/** One driver with an agent of its own. */
interface Peer {
  readonly name: string;
  readonly nomad: Nomad;
  /** The `driver` of a task, and its config block as HCL. */
  readonly driver: string;
  readonly config: string;
}

let jobs = 0;
/** Why tasks failed; the agents' messages. */
const REASONS = new Set<string>();

function job({ driver, config }: Peer, count: number): { id: string; hcl: string } {
  jobs += 1;
  const id = `peers-${jobs}`;
  const restart = 'reschedule {\n attempts = 0\n unlimited = false\n }\n restart {\n attempts = 0\n mode = "fail"\n }';
  const resources = 'kill_timeout = "1s"\n resources {\n cpu = 10\n memory = 32\n }';
  const task = `task "main" {\n driver = "${driver}"\n config {\n ${config}\n }\n ${resources}\n }`;
  return { id, hcl: `job "${id}" {\n type = "batch"\n group "g" {\n count = ${count}\n ${restart}\n ${task}\n }\n }` };
}

/** When a task's first line was written, in milliseconds since the epoch: its program writes only one. Undefined if the task failed. */
async function firstLine({ allocDir, api }: Nomad, allocation: string): Promise<number | undefined> {
  const log = join(allocDir, allocation, "alloc/logs/main.stdout.0");
  const end = Date.now() + JOB_MS;
  for (let looks = 1; Date.now() < end; looks += 1) {
    const found = await stat(log).catch(() => undefined);
    if (found !== undefined && found.size > 0) return found.mtimeMs;
    await Bun.sleep(LOOK_MS);
    if (looks % LOOKS_PER_QUESTION !== 0) continue;
    const { ClientStatus, TaskStates } = await api.allocation(allocation, () => true);
    if (ClientStatus !== "failed") continue;
    const failure = TaskStates?.["main"]?.Events.find(({ Type }) => Type === "Driver Failure");
    REASONS.add(failure?.DisplayMessage ?? "no driver failure");
    return undefined;
  }
  throw new Error(`${log} is empty after ${JOB_MS} ms.`);
}

/** Milliseconds of one round. */
interface Round {
  /** From "Task Setup" to "Started", the longest of the tasks. */
  readonly started: number;
  /** From the submission to the last first line. */
  readonly line: number;
  /** CPU time meanwhile, of agents, drivers, systemd and containers. */
  readonly cpu: number;
  /** Number of tasks that the driver could not start. */
  readonly failed: number;
}

async function round(peer: Peer, count: number): Promise<Round> {
  const { api } = peer.nomad;
  const { id, hcl } = job(peer, count);
  const parsed = await api.parseJob(hcl);
  const used = await cpuTime();
  const submitted = Date.now();
  await api.registerJob(parsed);
  const placed = await api.allocations(id, (found) => found.length >= count, JOB_MS);
  const found = await Promise.all(placed.map(({ ID }) => firstLine(peer.nomad, ID)));
  const lines = found.filter((line) => line !== undefined);
  const cpu = (await cpuTime()) - used;
  const running = await api.allocations(
    id,
    (found) => found.every(({ ClientStatus }) => ClientStatus !== "pending"),
    JOB_MS,
  );
  const started = running.map(({ TaskStates }) => {
    const events = TaskStates?.["main"]?.Events ?? [];
    const time = (type: string) => events.find(({ Type }) => Type === type)?.Time ?? Number.NaN;
    return (time("Started") - time("Task Setup")) / 1e6;
  });
  await api.stopJob(id);
  const dead = ["complete", "failed", "lost"];
  await api.allocations(id, (found) => found.every(({ ClientStatus }) => dead.includes(ClientStatus)), JOB_MS);
  await api.stopJob(id, true);
  await api.collectGarbage();
  return {
    started: Math.max(...started.filter((time) => !Number.isNaN(time))),
    line: Math.max(...lines) - submitted,
    cpu,
    failed: found.length - lines.length,
  };
}

function spread(values: readonly number[]): string {
  return `${ms(median(values))} (${Math.min(...values).toFixed(0)} to ${Math.max(...values).toFixed(0)})`;
}

/** Measures the peers in turn, the first of each round being another one each time; one line for each peer. */
async function compare(peers: readonly Peer[], count: number, rounds: number): Promise<readonly string[]> {
  const series = new Map<string, Round[]>(peers.map(({ name }) => [name, []]));
  for (let index = 0; index < rounds; index += 1) {
    for (const at of peers.keys()) {
      const peer = peers[(index + at) % peers.length];
      if (peer !== undefined) series.get(peer.name)?.push(await round(peer, count));
    }
  }
  const column = (name: string, pick: (round: Round) => number) => (series.get(name) ?? []).map(pick);
  const ratio = (name: string, pick: (round: Round) => number) =>
    (median(column("this driver", pick)) / median(column(name, pick))).toFixed(2);
  const time = count === 1 ? ({ started }: Round) => started : ({ line }: Round) => line;
  const cpu = (each: Round) => each.cpu;
  return peers.map(
    ({ name }) =>
      `| ${name}, ${count} | ${spread(column(name, time))} | ${ratio(name, time)} | ${spread(column(name, cpu))} | ${ratio(name, cpu)} | ${column(name, ({ failed }) => failed).join(", ")} |`,
  );
}

async function main(): Promise<void> {
  if (!existsSync(goDriver)) {
    throw new Error(`${goDriver} does not exist; docs/performance.md says how the Go driver is built.`);
  }
  await joinHost();
  const image = await busyboxImage();
  const script = JSON.stringify(["-c", "echo up; exec sleep 1000"]);
  const command = JSON.stringify(["/bin/sh", "-c", "echo up; exec sleep 1000"]);
  const options = `image = "${image}"\n boot = false\n network_veth = false\n volatile = "overlay"\n command = ${command}`;
  const client = { options: { "fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean,consul,vault" } };
  await using own = await startNomad({ client });
  await using go = await startNomad({ client, driver: goDriver, store: false });
  const plain = `${options}\n user_namespacing = false`;
  const nspawn = (name: string, nomad: Nomad, config: string): Peer => ({ name, nomad, driver: "nspawn", config });
  const exec = {
    name: "Nomad's exec",
    nomad: own,
    driver: "exec",
    config: `command = "/bin/sh"\n args = ${script}`,
  };
  const withoutNamespace = [nspawn("this driver", own, plain), nspawn("Go driver", go, plain), exec];
  const withNamespace = [nspawn("this driver", own, options), nspawn("Go driver", go, options)];
  for (const [title, peers] of [
    ["default user namespace", withNamespace],
    ["user_namespacing = false", withoutNamespace],
  ] as const) {
    for (const peer of peers) await round(peer, 1);
    console.log(`\n| ${title} | median (from, to) | ratio | CPU time | ratio | failed tasks |\n|${" --- |".repeat(6)}`);
    for (const line of await compare(peers, TOGETHER, TOGETHER_ROUNDS)) console.log(line);
    for (const line of await compare(peers, 1, SINGLE_ROUNDS)) console.log(line);
  }
  for (const reason of REASONS) console.log(`a task failed: ${reason}`);
}

await main();
