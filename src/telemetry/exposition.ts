import type { Metric } from "./metrics";
import type { Family, HistogramSeries, Labels } from "./registry";

/**
 * The text formats in which a Prometheus server reads metrics: Prometheus's own, version 0.0.4 (prometheus.io, "Exposition formats"), and
 * OpenMetrics 1.0. They differ in the names of counters and infos, in how bounds are written, in units, and in the last line.
 */
export type Format = "prometheus" | "openmetrics";

/** The content type of each format. */
export const CONTENT_TYPES = {
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
} as const satisfies Record<Format, string>;

/** Chooses a format by an Accept header (RFC 9110, section 12.5.1); Prometheus's own unless the other is preferred. Pure. */
export function negotiate(accept: string | undefined): Format {
  let openmetrics = 0;
  let plain = 0;
  for (const range of (accept ?? "*/*").split(",")) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    const quality = Number(parameters.find((each) => each.startsWith("q="))?.slice(2) ?? 1) || 0;
    const version = parameters.find((each) => each.startsWith("version="))?.slice("version=".length);
    if (type === "application/openmetrics-text" && (version === undefined || version.startsWith("1."))) {
      openmetrics = Math.max(openmetrics, quality);
    }
    if (["text/plain", "text/*", "*/*"].includes(type)) plain = Math.max(plain, quality);
  }
  return openmetrics > 0 && openmetrics >= plain ? "openmetrics" : "prometheus";
}

/** Metrics with their values as text. Pure. */
export function exposition(families: readonly Family[], format: Format): string {
  const lines = families.flatMap((family) => [...head(family, format), ...samples(family, format)]);
  return `${[...lines, ...(format === "openmetrics" ? ["# EOF"] : [])].join("\n")}\n`;
}

/** Suffixes of names that OpenMetrics leaves out where it describes a metric. */
const SUFFIXES: Partial<Record<Metric["type"], string>> = { counter: "_total", info: "_info" };

function head({ name, metric }: Family, format: Format): readonly string[] {
  const { type, help, unit } = metric;
  if (format === "prometheus") return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type === "info" ? "gauge" : type}`];
  const suffix = SUFFIXES[type];
  const family = suffix !== undefined && name.endsWith(suffix) ? name.slice(0, -suffix.length) : name;
  const units = unit !== undefined && family.endsWith(`_${unit}`) ? [`# UNIT ${family} ${unit}`] : [];
  return [`# TYPE ${family} ${type}`, ...units, `# HELP ${family} ${help}`];
}

function samples({ name, metric, numbers, histograms }: Family, format: Format): readonly string[] {
  return [
    ...numbers.map(({ labels, value }) => sample(name, labels, value)),
    ...histograms.flatMap((series) => histogram(name, metric.buckets ?? [], series, format)),
  ];
}

function histogram(
  name: string,
  bounds: readonly number[],
  { labels, counts, count, sum }: HistogramSeries,
  format: Format,
): readonly string[] {
  // OpenMetrics writes bounds as floating-point numbers ("Canonical Numbers").
  const bound = (value: number) => (format === "openmetrics" && Number.isInteger(value) ? `${value}.0` : `${value}`);
  return [
    ...bounds.map((value, index) => sample(`${name}_bucket`, { ...labels, le: bound(value) }, counts[index] ?? 0)),
    sample(`${name}_bucket`, { ...labels, le: "+Inf" }, count),
    sample(`${name}_sum`, labels, sum),
    sample(`${name}_count`, labels, count),
  ];
}

function sample(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
