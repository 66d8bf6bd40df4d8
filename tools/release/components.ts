/** What the executable is made of: the runtime, and the packages of bun.lock that the driver itself uses. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import lock from "../../bun.lock";
import packageJson from "../../package.json";
import { bunVersion, projectRoot } from "../build/project";

/** A part of the executable. */
export interface Component {
  readonly name: string;
  readonly version: string;
  /** SPDX licence expression. */
  readonly license: string;
  /** Package URL (purl-spec). */
  readonly purl: string;
  /** SHA-512 of the registry's tarball in hexadecimal, if it is known. */
  readonly sha512?: string;
  /** Package URLs of the parts that it uses. */
  readonly uses: readonly string[];
}

/** An entry of bun.lock's packages, as far as it is used. */
export interface LockedPackage {
  readonly name: string;
  readonly version: string;
  readonly dependencies: readonly string[];
  /** The registry's hash, such as "sha512-…" in base64. */
  readonly integrity: string;
}

/** The entries of bun.lock's packages by key: a name, or PARENT/NAME for a version that only PARENT uses. */
export function lockedPackages(packages: Readonly<Record<string, readonly unknown[]>>): Map<string, LockedPackage> {
  const found = new Map<string, LockedPackage>();
  for (const [key, entry] of Object.entries(packages)) {
    const [id, , meta, integrity] = entry;
    if (typeof id !== "string" || typeof integrity !== "string") continue;
    const at = id.lastIndexOf("@");
    const named: unknown = typeof meta === "object" && meta !== null && "dependencies" in meta ? meta.dependencies : {};
    const dependencies = typeof named === "object" && named !== null ? Object.keys(named) : [];
    found.set(key, { name: id.slice(0, at), version: id.slice(at + 1), dependencies, integrity });
  }
  return found;
}

/** The keys of all packages that these names need, themselves included. A package's own version of another one goes first. */
export function reachable(packages: ReadonlyMap<string, LockedPackage>, names: readonly string[]): readonly string[] {
  const keys = new Set<string>();
  const visit = (name: string, parent: string | undefined): void => {
    const own = parent === undefined ? name : `${parent}/${name}`;
    const key = packages.has(own) ? own : name;
    const entry = packages.get(key);
    if (entry === undefined || keys.has(key)) return;
    keys.add(key);
    for (const dependency of entry.dependencies) visit(dependency, key);
  };
  for (const name of names) visit(name, undefined);
  return [...keys].sort();
}

/** The package URL of an npm package. */
export function npmUrl(name: string, version: string): string {
  return `pkg:npm/${name.replace(/^@/, "%40")}@${version}`;
}

async function licenseOf(name: string): Promise<string> {
  const text = await readFile(join(projectRoot, "node_modules", name, "package.json"), "utf8");
  const parsed: unknown = JSON.parse(text);
  const license = typeof parsed === "object" && parsed !== null && "license" in parsed ? parsed.license : undefined;
  if (typeof license !== "string") throw new Error(`The package ${name} names no licence.`);
  return license;
}

/** All components, those of npm in the order of their names. */
export async function components(): Promise<readonly Component[]> {
  const packages = lockedPackages(lock.packages);
  const keys = reachable(packages, Object.keys(packageJson.dependencies));
  const found: Component[] = [
    { name: "bun", version: bunVersion, license: "MIT", purl: `pkg:generic/bun@${bunVersion}`, uses: [] },
  ];
  for (const key of keys) {
    const entry = packages.get(key);
    if (entry === undefined) continue;
    const { name, version, dependencies, integrity } = entry;
    const uses = reachable(packages, dependencies)
      .filter((each) => dependencies.includes(packages.get(each)?.name ?? ""))
      .map((each) => npmUrl(packages.get(each)?.name ?? "", packages.get(each)?.version ?? ""));
    const sha512 = Buffer.from(integrity.replace(/^sha512-/, ""), "base64").toString("hex");
    found.push({ name, version, license: await licenseOf(key), purl: npmUrl(name, version), sha512, uses });
  }
  return found;
}
