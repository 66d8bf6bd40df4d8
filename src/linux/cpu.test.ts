import { expect, test } from "bun:test";
import { cpuClock } from "./cpu";

const cpufreq = "/sys/devices/system/cpu/cpu0/cpufreq";
const cpuinfo = "processor\t: 0\ncpu MHz\t\t: 2445.432\ncache size\t: 512 KB\n";

test.each([
  [{ [`${cpufreq}/base_frequency`]: "2100000\n", [`${cpufreq}/cpuinfo_max_freq`]: "3900000\n" }, 2100],
  [{ [`${cpufreq}/cpuinfo_max_freq`]: "3900000\n", "/proc/cpuinfo": cpuinfo }, 3900],
  [{ "/proc/cpuinfo": cpuinfo }, 2445],
  [{}, 0],
])("%j", (files: Readonly<Record<string, string>>, megahertz) =>
  expect(cpuClock((path) => files[path])).toBe(megahertz),
);
