/** What the metrics of a plugin show of its tasks, and what they must not show. */

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { becomesTrue, pollUntil } from "../../src/lib/deadline";
import { readCgroupLayout } from "../../src/linux/cgroup/layout";
import { METRICS } from "../../src/telemetry/metrics";
import { attempt } from "../../tools/command";
import { DriverClient } from "../support/driver-client";
import { archiveOf, writeImage } from "../support/oci-image";
import { startPlugin } from "../support/plugin-process";
import { megabytes } from "../support/task";
import { type Fixture, failure, shell, useFixture } from "./fixture";
import { underSystemd } from "./inside";

const top = mkdtempSync(join(tmpdir(), "metrics-"));
const socket = join(top, "metrics.sock");
const traces = join(top, "traces.jsonl");
afterAll(() => rmSync(top, { recursive: true }));

let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { telemetry: { address: `unix:${socket}`, traces } },
);

const scrape = async (unix = socket) => (await fetch("http://x/metrics", { unix })).text();

/** The value of one series. */
function seriesValue(text: string, series: string): number {
  const line = text.split("\n").find((each) => each.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1) ?? Number.NaN);
}

/** How much each series grows while something happens. */
async function growth(work: () => Promise<unknown>, series: readonly string[]): Promise<Record<string, number>> {
  const before = await scrape();
  await work();
  const after = await scrape();
  return Object.fromEntries(series.map((name) => [name, seriesValue(after, name) - seriesValue(before, name)]));
}

const STARTS = 'nomad_nspawn_starts_total{result="success"}';
const FAILURE = 'nomad_nspawn_exits_total{cause="failure"}';

test("a start and an exit with code 3", async () => {
  const counts = await growth(
    async () => expect(await bench.finished(shell(bench.busybox, "exit 3"))).toMatchObject({ code: 3 }),
    [
      STARTS,
      FAILURE,
      "nomad_nspawn_start_duration_seconds_count",
      'nomad_nspawn_start_stage_duration_seconds_count{stage="plan"}',
      'nomad_nspawn_start_stage_duration_seconds_count{stage="supervisor"}',
      'nomad_nspawn_exits_total{cause="success"}',
    ],
  );
  expect(Object.values(counts)).toEqual([1, 1, 1, 1, 1, 0]);
});

test("a start that is refused, by its kind", async () => {
  const counts = await growth(
    async () => expect(await failure(bench.started({ config: { image: bench.busybox, nonsense: 1 } }))).not.toBe(""),
    ['nomad_nspawn_starts_total{result="failure"}', 'nomad_nspawn_start_failures_total{kind="job"}'],
  );
  expect(Object.values(counts)).toEqual([1, 1]);
});

test("tasks by state, and the process itself", async () => {
  const task = await bench.started(shell(bench.busybox, "sleep 1000"));
  const text = await scrape();
  expect(seriesValue(text, 'nomad_nspawn_tasks{state="running"}')).toBe(1);
  expect(seriesValue(text, "process_resident_memory_bytes")).toBeGreaterThan(1e7);
  expect(seriesValue(text, "process_open_fds")).toBeGreaterThan(5);
  expect(Math.abs(seriesValue(text, "process_start_time_seconds") - Date.now() / 1000)).toBeLessThan(3600);
  expect(text).toMatch(/^nomad_nspawn_build_info\{version="[^"]+",commit="[0-9a-f]+[^"]*",runtime="bun [\d.]+"\} 1$/m);
  const counts = await growth(
    () => bench.client().destroyTask(task.id, true),
    ['nomad_nspawn_exits_total{cause="signal"}'],
  );
  expect(Object.values(counts)).toEqual([1]);
});

// As in stats.test.ts: systemd limits no memory beside v1 controllers that it does not manage.
test.skipIf(underSystemd && readCgroupLayout().kind !== "v2")("an OOM kill", async () => {
  const eat = "exec dd if=/dev/zero of=/dev/null bs=256M count=1";
  const counts = await growth(
    () => bench.finished({ ...shell(bench.busybox, eat), resources: megabytes(32) }),
    ['nomad_nspawn_exits_total{cause="oom"}', "nomad_nspawn_oom_kills_total"],
  );
  expect(Object.values(counts)).toEqual([1, 1]);
});

test("the pull of an image with its bytes, and the store's size", async () => {
  const image = await writeImage(top, "image", [{ archive: await archiveOf(bench.busybox) }]);
  const pulls = 'nomad_nspawn_pulls_total{kind="container"}';
  const bytes = "nomad_nspawn_pull_received_bytes_total";
  const pull = { image, boot: false, network_veth: false, command: ["/bin/true"] };
  const counts = await growth(() => bench.finished({ config: pull }), [pulls, bytes]);
  expect(counts[pulls]).toBe(1);
  expect(counts[bytes]).toBeGreaterThan(100_000);
  expect(seriesValue(await scrape(), "nomad_nspawn_image_store_bytes")).toBeGreaterThan(100_000);
  const missing = await growth(
    () => failure(bench.started({ config: { ...pull, image: "registry.invalid/x:1", pull: "never" } })),
    ['nomad_nspawn_pull_failures_total{problem="not found"}', 'nomad_nspawn_start_failures_total{kind="source"}'],
  );
  expect(Object.values(missing)).toEqual([1, 1]);
});

test("nothing of a job is in them: only the labels of the table", async () => {
  const secret = `s3cret-${crypto.randomUUID()}`;
  const task = await bench.started({
    ...shell(bench.busybox, "exit 0", { environment: { A: secret } }),
    env: { B: secret },
    name: "named-task",
  });
  await bench.client().waitTask(task.id);
  const text = await scrape();
  for (const word of [secret, task.config.allocId, "named-task", bench.busybox, task.id]) {
    expect(text).not.toContain(word);
  }
  const allowed = Object.values(METRICS).flatMap((metric) => Object.entries("labels" in metric ? metric.labels : {}));
  for (const [, label = "", value = ""] of text.matchAll(/[{,](\w+)="((?:[^"\\]|\\.)*)"/g)) {
    if (["le", "version", "commit", "runtime"].includes(label)) continue;
    expect(allowed.some(([name, values]) => name === label && new Set<string>(values).has(value))).toBe(true);
  }
});

test("a trace of the start has a span for each stage, and the file is root's", async () => {
  const task = await bench.started(shell(bench.busybox, "sleep 1000"));
  await bench.client().destroyTask(task.id, true);
  const find = () =>
    readFileSync(traces, "utf8")
      .split("\n")
      .slice(0, -1)
      .find((each) => each.includes(task.config.allocId));
  // The start does not wait for its trace.
  const line = await pollUntil(find, { firstMs: 1, longestMs: 50, timeoutMs: 10_000 });
  const request: { resourceSpans: { scopeSpans: { spans: { name: string; parentSpanId?: string }[] }[] }[] } =
    JSON.parse(line ?? "");
  const spans = request.resourceSpans[0]?.scopeSpans[0]?.spans ?? [];
  expect(spans.map(({ name }) => name)).toEqual([
    ...["start", "host", "plan", "image", "root", "network", "files", "supervisor", "attach", "program", "address"],
  ]);
  expect(spans.filter(({ parentSpanId }) => parentSpanId === undefined)).toHaveLength(1);
  expect(statSync(traces).mode & 0o777).toBe(0o600);
});

test.skipIf(underSystemd)("a killed shim", async () => {
  const task = await bench.started(shell(bench.busybox, "sleep 1000"));
  const { driver } = await bench.client().inspectTask(task.id);
  const running = readFileSync(`/run/nomad-driver-nspawn/${driver?.attributes["machine"]}/running.json`, "utf8");
  const state: { readonly supervisor: { readonly pid: number } } = JSON.parse(running);
  const counts = await growth(async () => {
    process.kill(state.supervisor.pid, "SIGKILL");
    await bench.client().waitTask(task.id);
  }, ["nomad_nspawn_shims_killed_total"]);
  expect(Object.values(counts)).toEqual([1]);
});

describe("the address", () => {
  test("is a socket that other users cannot use", async () => {
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    const asked = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const connect = "require('net').connect(process.argv[1]).on('error',e=>{console.log(e.code)})";
    const { stdout } = await attempt([...asked, process.execPath, "-e", connect, socket]);
    expect(stdout.trim()).toBe("EACCES");
  });

  test("that another process has is tried again, and taken over when that process was killed", async () => {
    await using second = await startPlugin();
    using client = new DriverClient(second.socket);
    await client.setConfig({ telemetry: { address: `unix:${socket}` } });
    const lines = () => second.logs.map((line) => `${line["@message"]} ${String(line["reason"])}`);
    const sentence = "metrics are not served; trying again another process has it";
    const said = () => lines().some((line) => line.startsWith(sentence));
    expect(await becomesTrue(said, { firstMs: 1, longestMs: 50, timeoutMs: 10_000 })).toBe(true);
    expect(await failure(client.pluginInfo())).toBe("");
    // Its own socket still answers.
    expect(await scrape()).toContain(STARTS);
    await second.kill("SIGTERM");
    await bench.replacePlugin();
    expect(seriesValue(await scrape(), STARTS)).toBe(0);
  });

  test("is free again when the plugin has ended", async () => {
    await bench.client().shutdown();
    await bench.plugin().exited;
    expect(await failure(scrape())).not.toBe("");
    expect(() => statSync(socket)).toThrow();
    await bench.replacePlugin();
    expect(await scrape()).toContain(STARTS);
  });
});
