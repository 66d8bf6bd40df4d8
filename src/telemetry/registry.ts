import { type LabelsOf, METRICS, type Metric, type MetricName } from "./metrics";

/** The labels of one series. */
export type Labels = Readonly<Record<string, string>>;

/** The value of one series of a counter, gauge or info. */
export interface NumberSeries {
  readonly labels: Labels;
  readonly value: number;
}

/** The values of one series of a histogram. */
export interface HistogramSeries {
  readonly labels: Labels;
  /** Observations up to each bound of the metric's buckets, cumulative. */
  readonly counts: readonly number[];
  readonly count: number;
  readonly sum: number;
}

/** A metric with its values. */
export interface Family {
  readonly name: string;
  readonly metric: Metric;
  readonly numbers: readonly NumberSeries[];
  readonly histograms: readonly HistogramSeries[];
}

interface Histogram {
  readonly labels: Labels;
  readonly counts: number[];
  count: number;
  sum: number;
}

/**
 * The values of all metrics of a process. Counters and histograms have every series from the beginning, with 0: a rate needs the value
 * before the first event. A gauge has those that were set.
 */
export class MetricRegistry {
  readonly #numbers = new Map<string, Map<string, { readonly labels: Labels; value: number }>>();
  readonly #histograms = new Map<string, Map<string, Histogram>>();
  readonly #collectors: (() => void | Promise<void>)[] = [];

  constructor(private readonly metrics: Readonly<Record<string, Metric>> = METRICS) {
    for (const [name, metric] of Object.entries(metrics)) {
      const all = metric.type === "gauge" || metric.type === "info" ? [] : labelSets(metric.labels ?? {});
      const { buckets = [] } = metric;
      if (metric.type === "histogram") {
        const empty = (labels: Labels) => ({ labels, counts: buckets.map(() => 0), count: 0, sum: 0 });
        this.#histograms.set(name, new Map(all.map((labels) => [keyOf(labels), empty(labels)])));
      } else {
        this.#numbers.set(name, new Map(all.map((labels) => [keyOf(labels), { labels, value: 0 }])));
      }
    }
  }

  /** Adds to a counter. @param amount not negative */
  add<Name extends MetricName<"counter">>(name: Name, labels: LabelsOf<Name>, amount?: number): void;
  add(name: string, labels: Labels, amount = 1): void {
    const series = this.#numbers.get(name)?.get(keyOf(labels));
    if (series !== undefined && amount > 0) series.value += amount;
  }

  /** Sets a gauge, or a counter that something else counts. */
  set<Name extends MetricName<"gauge" | "counter">>(name: Name, labels: LabelsOf<Name>, value: number): void;
  set(name: string, labels: Labels, value: number): void {
    this.#numbers.get(name)?.set(keyOf(labels), { labels, value });
  }

  /** Sets the labels of a metric of type info, which are the same as long as the process runs. */
  info(name: MetricName<"info">, labels: Labels): void {
    this.#numbers.get(name)?.set("", { labels, value: 1 });
  }

  /** Adds an observation to a histogram. */
  observe<Name extends MetricName<"histogram">>(name: Name, labels: LabelsOf<Name>, value: number): void;
  observe(name: string, labels: Labels, value: number): void {
    const series = this.#histograms.get(name)?.get(keyOf(labels));
    if (series === undefined) return;
    for (const [index, bound] of (this.metrics[name]?.buckets ?? []).entries()) {
      if (value <= bound) series.counts[index] = (series.counts[index] ?? 0) + 1;
    }
    series.count += 1;
    series.sum += value;
  }

  /** Calls `collect` before the values are read: for what is measured only then. */
  onCollect(collect: () => void | Promise<void>): void {
    this.#collectors.push(collect);
  }

  /** All metrics that have values, in the order of the table. A collector that fails leaves its values as they were. */
  async families(): Promise<readonly Family[]> {
    await Promise.allSettled(this.#collectors.map(async (collect) => collect()));
    return Object.entries(this.metrics)
      .map(([name, metric]) => ({
        name,
        metric,
        numbers: [...(this.#numbers.get(name)?.values() ?? [])],
        histograms: [...(this.#histograms.get(name)?.values() ?? [])],
      }))
      .filter(({ numbers, histograms }) => numbers.length + histograms.length > 0);
  }
}

/** The same for labels in any order. */
function keyOf(labels: Labels): string {
  return Object.keys(labels)
    .sort()
    .map((name) => `${name}=${labels[name]}`)
    .join("\n");
}

/** Every combination of the labels' values. */
export function labelSets(labels: Readonly<Record<string, readonly string[]>>): readonly Labels[] {
  return Object.entries(labels).reduce<readonly Labels[]>(
    (sets, [name, values]) => sets.flatMap((set) => values.map((value) => ({ ...set, [name]: value }))),
    [{}],
  );
}
