/** docs/metrics.md and the files in contrib/ name exactly the metrics that exist, with the labels that they have. */

import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { exposition } from "../../src/telemetry/exposition";
import { METRICS, type Metric } from "../../src/telemetry/metrics";
import { MetricRegistry } from "../../src/telemetry/registry";
import { projectRoot } from "../../tools/build/project";
import { attempt } from "../../tools/command";
import { promtool } from "../../tools/setup/prometheus";

const page = readFileSync(join(projectRoot, "docs/metrics.md"), "utf8");
const rules = readFileSync(join(projectRoot, "contrib/prometheus/rules.yml"), "utf8");
const dashboard = readFileSync(join(projectRoot, "contrib/grafana/nomad-driver-nspawn.json"), "utf8");
const metrics: Readonly<Record<string, Metric>> = METRICS;
const INFO_LABELS = ["version", "commit", "runtime"];
/** Labels that a Prometheus server adds. */
const OF_TARGETS = ["instance", "job"];

function labelsOf(name: string): Readonly<Record<string, readonly string[]>> {
  const metric = metrics[name];
  if (metric?.type === "info") return Object.fromEntries(INFO_LABELS.map((label) => [label, []]));
  return metric?.labels ?? {};
}

describe("docs/metrics.md", () => {
  const rows = [...page.matchAll(/^\| `(\w+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \|$/gm)];

  test("has a row for each metric, in the order of the table", () => {
    expect(rows.map(([, name]) => name)).toEqual(Object.keys(METRICS));
  });

  test.each(rows.map(([, name = "", labels = ""]) => [name, labels]))("the labels of %s", (name, text) => {
    const known = Object.entries(labelsOf(name));
    const written = known.map(([label, values]) => [`\`${label}\``, values.join(", ")].filter((part) => part !== ""));
    expect(text).toBe(known.length === 0 ? "–" : written.map((parts) => parts.join(": ")).join(", "));
  });

  test("names alerts that exist and use the metric", () => {
    const alerts = new Map(
      rules
        .split("      - alert: ")
        .slice(1)
        .map((text) => [text.split("\n")[0] ?? "", text] as const),
    );
    for (const [, name = "", , alert = ""] of rows) {
      if (alert !== "–")
        expect({ alert, text: alerts.get(alert) ?? "" }).toMatchObject({ alert, text: expect.stringContaining(name) });
    }
    const named = [...rows.map(([, , , alert = ""]) => alert), "NspawnMetricsMissing"];
    expect([...alerts.keys()].filter((alert) => !named.includes(alert))).toEqual([]);
  });
});

/** The selectors of PromQL expressions: a metric's name, and the matchers behind it. */
function selectors(text: string): { name: string; matchers: [label: string, value: string][] }[] {
  return [...text.matchAll(/\b((?:nomad_nspawn|process)_\w+)(?:\{([^}]*)\})?/g)].map(([, name = "", inner = ""]) => ({
    name: name in metrics ? name : name.replace(/_(?:bucket|sum|count)$/, ""),
    matchers: [...inner.matchAll(/(\w+)(?:=|!=|=~|!~)\\?"([^"\\]*)/g)].map(([, label = "", value = ""]) => [
      label,
      value,
    ]),
  }));
}

describe.each([
  ["rules.yml", rules],
  ["the dashboard", dashboard],
])("%s", (_file, text) => {
  test("names only metrics that exist, with their labels and values", () => {
    const found = selectors(text);
    expect(found.length).toBeGreaterThan(10);
    for (const { name, matchers } of found) {
      expect(Object.keys(metrics)).toContain(name);
      for (const [label, value] of matchers.filter(([each]) => !OF_TARGETS.includes(each))) {
        const values = labelsOf(name)[label];
        expect({ name, label, values }).toMatchObject({ name, label, values: expect.any(Array) });
        for (const each of value.split("|")) expect(values ?? []).toContain(each);
      }
    }
  });
});

test("the dashboard shows every metric, and its panels do not overlap", () => {
  const shown = new Set(selectors(dashboard).map(({ name }) => name));
  expect(Object.keys(METRICS).filter((name) => !shown.has(name))).toEqual([]);
  const { panels }: { panels: { id: number; gridPos: { x: number; y: number; w: number; h: number } }[] } =
    JSON.parse(dashboard);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_each, index) => `${x + (index % w)},${y + Math.floor(index / w)}`),
  );
  expect(new Set(cells).size).toBe(cells.length);
});

describe("promtool", () => {
  let program = "";
  beforeAll(async () => {
    program = await promtool();
  }, 180_000);

  test("accepts the rules", async () => {
    const { code, stdout, stderr } = await attempt([program, "check", "rules", "contrib/prometheus/rules.yml"], {
      cwd: projectRoot,
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("SUCCESS");
  });

  test("has nothing to say about the text of the metrics", async () => {
    const registry = new MetricRegistry();
    registry.info("nomad_nspawn_build_info", { version: "1", commit: "c", runtime: "bun" });
    registry.observe("nomad_nspawn_start_duration_seconds", {}, 0.3);
    registry.set("nomad_nspawn_tasks", { state: "running" }, 3);
    registry.set("process_open_fds", {}, 12);
    const text = exposition(await registry.families(), "prometheus");
    const { code, stdout, stderr } = await attempt([program, "check", "metrics"], { stdin: text });
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "", stderr: "" });
  });
});
