import { describe, expect, test } from "bun:test";
import { exposition, type Format, negotiate } from "./exposition";
import { METRICS } from "./metrics";
import { labelSets, MetricRegistry } from "./registry";

async function text(registry: MetricRegistry, format: Format, name: string): Promise<string[]> {
  const all = exposition(await registry.families(), format).split("\n");
  return all.filter((line) => line.includes(name));
}

describe("a counter", () => {
  test("in both formats, with every series from the beginning", async () => {
    const registry = new MetricRegistry();
    registry.add("nomad_nspawn_starts_total", { result: "failure" });
    registry.add("nomad_nspawn_starts_total", { result: "failure" }, 2);
    expect(await text(registry, "prometheus", "_starts")).toEqual([
      "# HELP nomad_nspawn_starts_total Starts of tasks that have ended.",
      "# TYPE nomad_nspawn_starts_total counter",
      'nomad_nspawn_starts_total{result="success"} 0',
      'nomad_nspawn_starts_total{result="failure"} 3',
    ]);
    expect(await text(registry, "openmetrics", "_starts")).toEqual([
      "# TYPE nomad_nspawn_starts counter",
      "# HELP nomad_nspawn_starts Starts of tasks that have ended.",
      'nomad_nspawn_starts_total{result="success"} 0',
      'nomad_nspawn_starts_total{result="failure"} 3',
    ]);
  });

  test("never decreases", async () => {
    const registry = new MetricRegistry();
    registry.add("nomad_nspawn_oom_kills_total", {}, 2);
    registry.add("nomad_nspawn_oom_kills_total", {}, -1);
    expect(await text(registry, "prometheus", "nomad_nspawn_oom_kills_total 2")).toHaveLength(1);
  });
});

test("a histogram has cumulative buckets, the sum and the count", async () => {
  const registry = new MetricRegistry();
  for (const value of [0.01, 1, 1.5, 1000]) registry.observe("nomad_nspawn_start_duration_seconds", {}, value);
  const name = "nomad_nspawn_start_duration_seconds";
  const bounds = (format: Format) => text(registry, format, `${name}_`);
  const counts = [1, 1, 1, 1, 2, 3, 3, 3, 3, 3, 3, 3];
  const plain = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600];
  const end = [`${name}_bucket{le="+Inf"} 4`, `${name}_sum 1002.51`, `${name}_count 4`];
  expect(await bounds("prometheus")).toEqual([
    ...plain.map((bound, index) => `${name}_bucket{le="${bound}"} ${counts[index]}`),
    ...end,
  ]);
  const decimals = plain.map((bound) => (Number.isInteger(bound) ? `${bound}.0` : String(bound)));
  expect(await bounds("openmetrics")).toEqual([
    ...decimals.map((bound, index) => `${name}_bucket{le="${bound}"} ${counts[index]}`),
    ...end,
  ]);
});

test("an info, and characters that have to be escaped", async () => {
  const registry = new MetricRegistry();
  registry.info("nomad_nspawn_build_info", { version: 'a"b\\c\nd' });
  expect(await text(registry, "openmetrics", "build")).toEqual([
    "# TYPE nomad_nspawn_build info",
    "# HELP nomad_nspawn_build Version, commit and runtime of the driver.",
    'nomad_nspawn_build_info{version="a\\"b\\\\c\\nd"} 1',
  ]);
  expect(await text(registry, "prometheus", "TYPE nomad_nspawn_build_info gauge")).toHaveLength(1);
});

test("a gauge appears once it has a value, and a failed collector does not hide the others", async () => {
  const registry = new MetricRegistry();
  expect(await text(registry, "prometheus", "open_fds")).toEqual([]);
  registry.onCollect(() => {
    throw new Error("no /proc");
  });
  registry.onCollect(() => registry.set("process_open_fds", {}, 7));
  expect(await text(registry, "prometheus", "process_open_fds 7")).toHaveLength(1);
});

/** The grammar of a line: Prometheus's text format, and section "ABNF" of OpenMetrics 1.0. */
const SAMPLE =
  /^[a-zA-Z_:][\w:]*(?:\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*"(?:,(?=[a-zA-Z_])|(?=\})))*\})? [-+]?(?:\d+(?:\.\d+)?(?:e[-+]?\d+)?|Inf)$/;

describe.each(["prometheus", "openmetrics"] as const)("the whole text as %s", (format) => {
  test("consists of valid lines, each family once and in one piece", async () => {
    const registry = new MetricRegistry();
    registry.info("nomad_nspawn_build_info", { version: "1", commit: "c" });
    const written = exposition(await registry.families(), format);
    const lines = written.trimEnd().split("\n");
    expect(written.endsWith("\n")).toBe(true);
    expect(lines.at(-1) === "# EOF").toBe(format === "openmetrics");
    const types: string[] = [];
    for (const line of lines) {
      if (line.startsWith("# TYPE ")) types.push(line.split(" ")[2] ?? "");
      if (line.startsWith("#")) expect(line).toMatch(/^# (?:EOF|(?:HELP|UNIT|TYPE) [a-z_]+ .+)$/);
      else {
        expect(line).toMatch(SAMPLE);
        expect(line.startsWith(types.at(-1) ?? "?")).toBe(true);
      }
    }
    expect(new Set(types).size).toBe(types.length);
    expect(new Set(lines).size).toBe(lines.length);
  });
});

describe("the table of metrics", () => {
  test.each(Object.entries(METRICS))("%s follows the conventions", (name, metric) => {
    expect(name).toMatch(/^(?:nomad_nspawn|process)_[a-z_]+$/);
    expect(name.endsWith("_total")).toBe(metric.type === "counter");
    expect(name.endsWith("_info")).toBe(metric.type === "info");
    expect(metric.help).toMatch(/^[A-Z][^\\\n]*\.$/);
    if ("unit" in metric) expect(name.replace(/_total$/, "")).toEndWith(`_${metric.unit}`);
    if ("buckets" in metric) expect([...metric.buckets]).toEqual([...metric.buckets].sort((one, two) => one - two));
  });

  test("has few series", () => {
    const sizes = Object.values(METRICS).map((metric) => {
      const buckets = "buckets" in metric ? metric.buckets.length + 3 : 1;
      return labelSets("labels" in metric ? metric.labels : {}).length * buckets;
    });
    expect(sizes.reduce((sum, each) => sum + each, 0)).toBeLessThan(300);
  });
});

describe("the format by the Accept header", () => {
  test.each<[string | undefined, Format]>([
    [undefined, "prometheus"],
    ["*/*", "prometheus"],
    ["text/plain", "prometheus"],
    ["application/openmetrics-text", "openmetrics"],
    // Prometheus 2.42.
    [
      "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
      "openmetrics",
    ],
    // Prometheus 3: escaping=… is a parameter of its own.
    [
      "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
      "openmetrics",
    ],
    ["text/plain;version=0.0.4;q=0.9, application/openmetrics-text; version=1.0.0; q=0.5", "prometheus"],
    ["application/openmetrics-text; version=2.0.0", "prometheus"],
    ["application/openmetrics-text; q=0", "prometheus"],
    ["application/openmetrics-text; q=nonsense, text/html", "prometheus"],
  ])("%s", (accept, format) => {
    expect(negotiate(accept)).toBe(format);
  });
});
