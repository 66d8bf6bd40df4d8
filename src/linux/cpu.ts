import { readIfThere } from "../lib/read-file";

const CPUFREQ = "/sys/devices/system/cpu/cpu0/cpufreq";

/**
 * The clock of one CPU in MHz, as a Nomad client counts it: the base frequency if the kernel reports it, otherwise the
 * highest, otherwise the current one (the kernel's cpu-freq documentation, /proc/cpuinfo). 0 if none is reported.
 */
export function cpuClock(read: (path: string) => string | undefined = readIfThere): number {
  for (const file of ["base_frequency", "cpuinfo_max_freq"]) {
    const kilohertz = Number(read(`${CPUFREQ}/${file}`)?.trim());
    if (kilohertz > 0) return Math.round(kilohertz / 1000);
  }
  return Math.round(Number(/^cpu MHz\s*:\s*([\d.]+)$/m.exec(read("/proc/cpuinfo") ?? "")?.[1] ?? 0));
}
