/** The dashboard's and the alerts' expressions, evaluated by a Prometheus server that has an hour of this driver's metrics. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { becomesTrue } from "../../src/lib/deadline";
import { exposition } from "../../src/telemetry/exposition";
import { METRICS, type Metric } from "../../src/telemetry/metrics";
import { type Family, labelSets } from "../../src/telemetry/registry";
import { projectRoot } from "../../tools/build/project";
import { run } from "../../tools/command";
import { prometheusServer, promtool } from "../../tools/setup/prometheus";
import { timeoutScale } from "../../tools/timeout-scale";

const read = (path: string) => readFileSync(join(projectRoot, path), "utf8");
const panels = v.parse(
  v.object({
    panels: v.array(v.looseObject({ title: v.string(), targets: v.array(v.looseObject({ expr: v.string() })) })),
  }),
  JSON.parse(read("contrib/grafana/nomad-driver-nspawn.json")),
).panels;
const { groups } = v.parse(
  v.object({ groups: v.array(v.object({ rules: v.array(v.looseObject({ alert: v.string(), expr: v.string() })) })) }),
  Bun.YAML.parse(read("contrib/prometheus/rules.yml")),
);

const SCRAPES = 61;
const INTERVAL = 60;
const metrics: Readonly<Record<string, Metric>> = METRICS;

/** All metrics as the driver serves them at a scrape: every series, with counters that grow by one each time. */
function familiesAt(scrape: number): readonly Family[] {
  return Object.entries(metrics).map(([name, metric]) => {
    const info = metric.type === "info" ? { version: "1.0.0", commit: "c", runtime: "bun" } : {};
    const series = labelSets(metric.labels ?? {}).map((labels) => ({ ...labels, ...info }));
    const { buckets = [] } = metric;
    const value = metric.type === "info" ? 1 : scrape;
    return {
      name,
      metric,
      numbers: metric.type === "histogram" ? [] : series.map((labels) => ({ labels, value })),
      histograms:
        metric.type === "histogram"
          ? series.map((labels) => ({ labels, counts: buckets.map(() => scrape), count: scrape, sum: scrape / 10 }))
          : [],
    };
  });
}

/** An hour of scrapes of one client in OpenMetrics, with the labels and times that a server adds. */
function history(end: number): string {
  const scrapes = Array.from({ length: SCRAPES }, (_each, scrape) => {
    const time = end - (SCRAPES - 1 - scrape) * INTERVAL;
    const target = 'instance="client-1",job="nomad-nspawn"';
    const samples = exposition(familiesAt(scrape), "openmetrics")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) =>
        line.replace(/^(\w+)(?:\{(.*)\})? (\S+)$/, (_whole, name, labels = "", value) => {
          return `${name}{${[labels, target].filter((part) => part !== "").join(",")}} ${value} ${time}`;
        }),
      );
    return [...samples, `up{${target}} 0 ${time}`].join("\n");
  });
  return `${scrapes.join("\n")}\n# EOF\n`;
}

const answer = v.object({
  status: v.literal("success"),
  data: v.object({ result: v.array(v.object({ value: v.tuple([v.number(), v.string()]) })) }),
});

describe("a Prometheus server", () => {
  const stack = new AsyncDisposableStack();
  const end = Math.floor(Date.now() / 1000) - 3 * 3600;
  let origin = "";
  beforeAll(async () => {
    const directory = await mkdtemp(join(tmpdir(), "prometheus-"));
    stack.defer(() => rm(directory, { recursive: true }));
    const [samples, data, config] = ["samples", "data", "config.yml"].map((name) => join(directory, name));
    if (samples === undefined || data === undefined || config === undefined) return;
    await writeFile(samples, history(end));
    await writeFile(config, "{}\n");
    await run([await promtool(), "tsdb", "create-blocks-from", "openmetrics", samples, data]);
    const placeholder = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
    origin = placeholder.url.origin;
    await placeholder.stop(true);
    const server = Bun.spawn(
      [
        ...[await prometheusServer(), `--config.file=${config}`, `--storage.tsdb.path=${data}`],
        ...[`--web.listen-address=${new URL(origin).host}`, "--log.level=error"],
      ],
      { stdio: ["ignore", "ignore", "inherit"], env: {} },
    );
    stack.defer(async () => {
      server.kill("SIGKILL");
      await server.exited;
    });
    const ready = async () => (await fetch(`${origin}/-/ready`).catch(() => undefined))?.ok === true;
    const times = { firstMs: 50, longestMs: 200, timeoutMs: 30_000 * timeoutScale };
    if (!(await becomesTrue(ready, times))) throw new Error("The Prometheus server is not ready.");
  }, 180_000);
  afterAll(() => stack.disposeAsync());

  /** The values of an expression at the end of the hour, with Grafana's variables as it sets them. */
  async function values(expression: string): Promise<readonly string[]> {
    const query = expression.replaceAll("$instance", "(client-1|client-2)").replaceAll("$__rate_interval", "4m");
    const body = new URLSearchParams({ query, time: `${end}` });
    const reply = await (await fetch(`${origin}/api/v1/query`, { method: "POST", body })).json();
    const parsed = v.safeParse(answer, reply);
    if (!parsed.success) throw new Error(`${expression}: ${JSON.stringify(reply)}`);
    return parsed.output.data.result.map(({ value: [, text] }) => text);
  }

  test.each(panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const)))(
    "has numbers for the panel %s: %s",
    async (_title, expression) => {
      const found = await values(expression);
      expect(found.length).toBeGreaterThan(0);
      expect(found.filter((text) => !Number.isFinite(Number(text)))).toEqual([]);
    },
  );

  test.each(groups.flatMap(({ rules }) => rules.map(({ alert, expr }) => [alert, expr] as const)))(
    "evaluates the alert %s",
    async (_alert, expression) => expect(await values(expression)).toBeArray(),
  );

  test("finds an expression that is wrong", async () => {
    await expect(values("rate(nomad_nspawn_tasks)")).rejects.toThrow("expected type range vector");
  });
});
