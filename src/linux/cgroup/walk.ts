import { closeSync, constants, existsSync, openSync, readdirSync } from "node:fs";
import { ifThere } from "../../lib/errors";

/** How many cgroups are visited before yielding to other work. */
const YIELD_EVERY = 256;

/** What to do on the way. The given paths are valid during the call only. */
interface CgroupVisitor {
  /** Called with each cgroup before those below it; it may be gone by then. */
  at?(directory: string): void;
  /** Called with each cgroup except the first, after all cgroups below it. */
  leave?(directory: string): void;
}

interface Level {
  readonly name: string;
  readonly below: string[];
}

/**
 * Walks a cgroup and all below it, from directory to directory: a container can nest its cgroups deeper than a path can be long
 * (PATH_MAX), and create any number of them. A cgroup that disappears meanwhile is skipped.
 */
export async function walkCgroups(top: string, { at, leave }: CgroupVisitor): Promise<void> {
  // Most cgroups have none below them in most hierarchies, so nothing has to be opened for them.
  if (childGroups(top).length === 0) {
    if (existsSync(top)) at?.(top);
    return;
  }
  let fd = openDirectory(top);
  if (fd === undefined) return;
  const here = () => `/proc/self/fd/${fd}`;
  const moveTo = (next: number) => {
    if (fd !== undefined) closeSync(fd);
    fd = next;
  };
  const levels: Level[] = [];
  const enter = (name: string) => {
    at?.(here());
    levels.push({ name, below: childGroups(here()) });
  };
  try {
    enter("");
    for (let level = levels.at(-1), count = 1; level !== undefined; level = levels.at(-1), count += 1) {
      if (count % YIELD_EVERY === 0) await new Promise((resolve) => setImmediate(resolve));
      const name = level.below.pop();
      if (name === undefined) {
        levels.pop();
        const parent = levels.length === 0 ? undefined : openDirectory(`${here()}/..`);
        if (parent === undefined) return;
        moveTo(parent);
        leave?.(`${here()}/${level.name}`);
        continue;
      }
      const child = openDirectory(`${here()}/${name}`);
      if (child === undefined) continue;
      moveTo(child);
      enter(name);
    }
  } finally {
    closeSync(fd);
  }
}

/** The names of the cgroups directly below one; empty if it is gone. */
export function childGroups(directory: string): string[] {
  const entries = ifThere(() => readdirSync(directory, { withFileTypes: true }), []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

function openDirectory(path: string): number | undefined {
  return ifThere(() => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY), undefined);
}
