import { commandOutput } from "../exec/command-output";
import type { Container } from "../supervisor/supervisor";

/** A start that has failed waits this long at most for the names of the units that it waited for. */
const UNFINISHED_MS = 5_000;
/** Nothing waits for the state of a system that is up, and on a busy client systemctl takes long. */
const STATE_MS = 60_000;
/** How many units a sentence names. */
const MAX_UNITS = 8;
const PLAIN = ["--plain", "--no-legend", "--no-pager", "--full"] as const;

/**
 * The units of a container's systemd that are being started, from the output of `systemctl list-jobs` (systemctl(1)): "JOB UNIT TYPE
 * STATE". Those that wait for another one are named only if none is running.
 */
export function startingUnits(jobs: string): readonly string[] {
  const rows = jobs.split("\n").map((line) => line.trim().split(/\s+/));
  const inState = (wanted: string) =>
    rows.flatMap(([, unit, type, state]) => (unit !== undefined && type === "start" && state === wanted ? [unit] : []));
  const running = inState("running");
  return running.length > 0 ? running : inState("waiting");
}

/** The units in the output of `systemctl list-units`, whose first column they are. */
export function listedUnits(units: string): readonly string[] {
  return units.split("\n").flatMap((line) => {
    const [unit = ""] = line.trim().split(/\s+/);
    return unit === "" ? [] : [unit];
  });
}

/** Names of units as part of a sentence. */
export function unitNames(units: readonly string[]): string {
  const more = units.length - MAX_UNITS;
  return `${units.slice(0, MAX_UNITS).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** The units that a booting container still starts; undefined if its systemd does not answer. */
export async function unfinishedUnits(container: Container): Promise<readonly string[] | undefined> {
  const jobs = await commandOutput(container, ["systemctl", "list-jobs", ...PLAIN], UNFINISHED_MS);
  return jobs === undefined ? undefined : startingUnits(jobs);
}

/** A sentence about a container that has booted: whether all of its units are up; undefined if its init does not answer as systemd. */
export async function systemState(container: Container): Promise<string | undefined> {
  const failed = await commandOutput(container, ["systemctl", "list-units", "--state=failed", ...PLAIN], STATE_MS);
  if (failed === undefined) return undefined;
  const units = listedUnits(failed);
  return units.length === 0 ? "System is up (running)" : `System is up (degraded: ${unitNames(units)} failed)`;
}
