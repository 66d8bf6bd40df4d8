/** Bars that belong together: one for each series. */
export interface BarGroup {
  readonly label: string;
  /** Milliseconds, in the order of the series; undefined where nothing was measured. */
  readonly values: readonly (number | undefined)[];
}

/** A chart of horizontal bars; each group has a scale of its own if the plot says so. */
export interface BarChart {
  readonly title: string;
  readonly series: readonly string[];
  readonly groups: readonly BarGroup[];
}

const COLORS = ["#2563eb", "#a1a1aa", "#d97706"] as const;
const WIDTH = 760;
const LABEL = 250;
const BAR = 16;
const GAP = 14;
const HEAD = 58;
/** Room for the number behind the longest bar. */
const NUMBER = 90;

/** A chart as SVG: shorter is better, and the longest bar of each group has the full width. Pure. */
export function barChart({ title, series, groups }: BarChart): string {
  const heights = groups.map(({ values }) => values.filter((value) => value !== undefined).length * BAR + GAP);
  const height = HEAD + heights.reduce((sum, each) => sum + each, 0);
  const tops = heights.map((_each, index) => HEAD + heights.slice(0, index).reduce((sum, each) => sum + each, 0));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
<title>${escaped(title)}</title>
<style>text{font:13px Arial,Helvetica,sans-serif;fill:#27272a}.t{font-weight:bold}</style>
<rect width="100%" height="100%" fill="#ffffff"/>
<text class="t" x="12" y="22">${escaped(title)}</text>
${series.map((name, index) => legend(name, index, series)).join("\n")}
${groups.map((group, index) => bars(group, tops[index] ?? 0)).join("\n")}
</svg>
`;
}

/** The colour of a series and its name; a letter takes about seven pixels. */
function legend(name: string, index: number, series: readonly string[]): string {
  const x = 12 + series.slice(0, index).reduce((sum, each) => sum + each.length * 7 + 40, 0);
  return `<rect x="${x}" y="34" width="12" height="12" fill="${COLORS[index]}"/><text x="${x + 18}" y="45">${escaped(name)}</text>`;
}

function bars({ label, values }: BarGroup, top: number): string {
  const longest = Math.max(...values.filter((value) => value !== undefined));
  const shown = values.flatMap((value, index) => (value === undefined ? [] : [{ value, color: COLORS[index] }]));
  const middle = top + (shown.length * BAR) / 2 + 4;
  const drawn = shown.map(({ value, color }, row) => {
    const width = ((value / longest) * (WIDTH - LABEL - NUMBER)).toFixed(1);
    const y = top + row * BAR;
    const number = `<text x="${(LABEL + Number(width) + 6).toFixed(1)}" y="${y + 12}">${timeText(value)}</text>`;
    return `<rect x="${LABEL}" y="${y + 1}" width="${width}" height="${BAR - 2}" fill="${color}"/>${number}`;
  });
  return [`<text x="${LABEL - 8}" y="${middle}" text-anchor="end">${escaped(label)}</text>`, ...drawn].join("\n");
}

/** A time for a reader: two or three digits. */
function timeText(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
