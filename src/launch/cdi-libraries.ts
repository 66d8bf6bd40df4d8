import { basename, dirname, join, resolve } from "node:path";
import type { HookWork } from "../cdi/hooks";
import { readSoname } from "../cdi/soname";
import type { MountRequest } from "./mount-ownership";

/** Directories that the dynamic linker searches without its cache (ld.so(8)), by glibc's and Debian's builds. */
const SEARCHED = /^(?:\/usr)?\/lib(?:64|\/(?:x86_64|aarch64)-linux-gnu)?$/;

/** What the hooks of CDI devices come to. */
interface LinkedLibraries {
  /** The same files of the host under further names. */
  readonly mounts: readonly MountRequest[];
  /** Notes for the job's author, as sentences. */
  readonly notes: readonly string[];
}

/**
 * The further names of mounted libraries, which hooks would make links for: those that programs look for (SONAME), and the links that a
 * specification names. Mounts, because they need neither a root that can be written nor a program in the image.
 *
 * @param mounts those of the specifications
 */
export function linkedLibraries(
  mounts: readonly MountRequest[],
  works: readonly HookWork[],
  sonameOf: (path: string) => string | undefined = readSoname,
): LinkedLibraries {
  const known = new Map(mounts.map((mount) => [resolve(mount.target), mount]));
  const made: MountRequest[] = [];
  const add = (target: string, mount: MountRequest) => {
    if (known.has(target)) return;
    const further = { ...mount, target };
    known.set(target, further);
    made.push(further);
  };
  const folders = new Set(works.flatMap((work) => work.folders.map((folder) => resolve(folder))));
  for (const mount of mounts) {
    const folder = dirname(resolve(mount.target));
    const name = folders.has(folder) && basename(mount.target).includes(".so") ? sonameOf(mount.source) : undefined;
    if (name !== undefined) add(join(folder, name), mount);
  }
  let missing = works.flatMap(({ links }) => links);
  // A link may lead to another one.
  for (let before = -1; before !== missing.length; ) {
    before = missing.length;
    missing = missing.filter(({ path, target }) => {
      const found = known.get(resolve(dirname(path), target));
      if (found !== undefined) add(resolve(path), found);
      return found === undefined;
    });
  }
  return { mounts: made, notes: [...missing.map(missingLink), ...[...folders].flatMap(unsearched)] };
}

function missingLink({ path, target }: HookWork["links"][number]): string {
  return `The link ${path} to ${target}, which a hook of a CDI specification makes, is not there: the specification mounts no file ${target}.`;
}

function unsearched(folder: string): readonly string[] {
  return SEARCHED.test(folder)
    ? []
    : [`Programs find the libraries of CDI devices in ${folder} only with LD_LIBRARY_PATH=${folder}.`];
}
