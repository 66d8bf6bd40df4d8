import { type BarChart, type BarGroup, barChart } from "./bars";
import { milliseconds, type Row, tableIn } from "./tables";

const timeOrNone = (cell: string | undefined) => (cell === "" ? undefined : milliseconds(cell));

/** Groups of rows with a name in the first cell, and times in these cells. */
function groups(rows: readonly Row[], cells: readonly number[]): readonly BarGroup[] {
  return rows.map((row) => ({ label: row[0] ?? "", values: cells.map((cell) => timeOrNone(row[cell])) }));
}

/** One group for a table with one time in each row, each row a series. */
function oneGroup(rows: readonly Row[], cell: number): Pick<BarChart, "series" | "groups"> {
  const values = rows.map((row) => milliseconds(row[cell]));
  return { series: rows.map(([name = ""]) => name), groups: [{ label: "", values }] };
}

function rootsChart(page: string): BarChart {
  const rows = tableIn(page, "Against the Go driver", 1);
  return {
    title: "A start on a directory, or a disk image, with many files",
    series: ["driver", "bare systemd-nspawn"],
    groups: rows.map((row) => ({
      label: `${row[0]?.replace(" with a user namespace", "")}, ${row[1]}`,
      values: [milliseconds(row[2]), milliseconds(row[5])],
    })),
  };
}

function peersChart(page: string): BarChart {
  // Rows of wall clock time; those of CPU time, and those with a first run beside them, are in the table.
  const rows = tableIn(page, "Against the Go driver", 0).filter(([name = ""]) => !/CPU|second run/.test(name));
  return {
    title: "Against the Go driver and Nomad's exec, under an agent",
    series: ["driver", "Go driver", "Nomad's exec"],
    groups: groups(rows, [1, 2, 4]).map(({ label, values }) => ({
      label: label
        .replace("default user namespace", "user namespace")
        .replace("user_namespacing = false", "without one"),
      values,
    })),
  };
}

/** The plots of docs/performance.md: name of the file in docs/assets → SVG. @throws Error if the page lacks a table */
export function performancePlots(page: string): Readonly<Record<string, string>> {
  return {
    "performance-start.svg": barChart({
      title: "A container's start, until its first line of output",
      series: ["driver", "systemd-run systemd-nspawn"],
      groups: groups(tableIn(page, "Starting", 0), [1, 2]),
    }),
    "performance-roots.svg": barChart(rootsChart(page)),
    "performance-peers.svg": barChart(peersChart(page)),
    "performance-pull.svg": barChart({
      title: "Fetching an image of 1 GiB, and writing its files",
      ...oneGroup(tableIn(page, "Images", 0), 1),
    }),
  };
}
