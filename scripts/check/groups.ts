/** Levels by the machine that they run in. */

import type { HostSuite } from "../../tools/images/host-tree";
import type { Level } from "./levels";

/** Levels that share a machine and run in it one after the other. */
export interface Group {
  /** Name of the machine in the output. */
  readonly name: string;
  readonly place: Level["place"];
  readonly suite: HostSuite;
  readonly levels: readonly Level[];
}

/** The suite of a level's test host; undefined for one that runs elsewhere. */
export function suiteOf(level: Level): HostSuite | undefined {
  return level.place === "host" ? (level.suite ?? "trixie") : undefined;
}

/**
 * The groups of these levels, those that take longest first: then the last ones to end are short, and no processor is idle while a
 * long one ends.
 */
export function groupsOf(levels: readonly Level[]): readonly Group[] {
  const byName = Map.groupBy(levels, machineName);
  const groups = [...byName].map(([name, inside]) => ({ name, levels: inside, seconds: secondsOf(inside) }));
  return groups
    .toSorted((a, b) => b.seconds - a.seconds)
    .flatMap(({ name, levels: inside }) => {
      const [first] = inside;
      return first === undefined
        ? []
        : [{ name, place: first.place, suite: suiteOf(first) ?? "trixie", levels: inside }];
    });
}

function machineName(level: Level): string {
  if (level.place === "vm") return "virtual machine";
  const machine = level.place === "machine" ? "this machine" : `test host ${suiteOf(level) ?? "trixie"}`;
  return level.host === undefined ? machine : `${machine} ${level.host}`;
}

const secondsOf = (levels: readonly Level[]) => levels.reduce((sum, { seconds }) => sum + seconds, 0);
