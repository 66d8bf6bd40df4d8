/**
 * The second run of test files that failed while everything else ran. On two processors a dozen machines disturb each other; a
 * failure that comes back with nothing beside it is a fault of this tree in any case. One that does not come back is still a fault
 * of the test or of the driver: it is listed by name, and has to be mended. Nomad's own CI does the same (gotestsum --rerun-fails).
 */

import type { Group } from "./groups";
import type { Level } from "./levels";
import type { Tally } from "./tally";

/** So many files at most: what breaks more of them is no disturbance. */
const MOST_FILES = 5;

/** How one level of a group went at first. */
export interface FirstRun {
  readonly group: Group;
  readonly level: Level;
  /** How many failed, files that could not be loaded included. */
  readonly failed: number;
  /** The files with a failed test. */
  readonly failedFiles: readonly string[];
}

/** What runs once more in one machine. */
export interface SecondRun {
  /** The levels that failed, cut down to the files that failed. */
  readonly group: Group;
  /** How these levels went at first. */
  readonly first: readonly FirstRun[];
}

/** The second runs, by machine; none if too much failed. */
export function secondRuns(all: readonly FirstRun[]): readonly SecondRun[] {
  const failed = all.filter((run) => run.failed > 0);
  const files = failed.reduce((sum, run) => sum + run.failedFiles.length, 0);
  // A level that failed without naming a file did not run to its end.
  if (files > MOST_FILES || failed.some((run) => run.failedFiles.length === 0)) return [];
  return [...Map.groupBy(failed, (run) => run.group)].map(([group, first]) => ({
    group: { ...group, name: `${group.name} once more`, levels: first.map(onlyFailedFiles) },
    first,
  }));
}

function onlyFailedFiles({ level, failedFiles }: FirstRun): Level {
  const { without: _, ...rest } = level;
  return { ...rest, name: `${level.name} once more`, paths: failedFiles };
}

/** A sum in which failures that did not come back have passed. */
export function takeBack({ passed, failed, skipped }: Tally, count: number): Tally {
  return { passed: passed + count, failed: failed - count, skipped };
}
