import { accessSync, constants, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { parseNspawnVersion } from "../nspawn/features";
import { errnoCode, isMissing } from "./errno";

const PROGRAM = "systemd-nspawn";
const TIMEOUT_MS = 10_000;

/** Where distributions put it; searched besides PATH because an agent's service often has a short one. */
export const STANDARD_DIRECTORIES: readonly string[] = [
  "/usr/bin",
  "/usr/local/bin",
  "/bin",
  "/usr/sbin",
  "/run/current-system/sw/bin",
];

/** An installed systemd-nspawn. */
export interface InstalledNspawn {
  /** Absolute path of the program. */
  readonly path: string;
  /** Major version, such as 257. */
  readonly version: number;
}

/** The directories to look in, in order and each once: the PATH's absolute ones, then the standard ones. */
export function searchDirectories(path: string | undefined): readonly string[] {
  const own = (path ?? "").split(":").filter((directory) => isAbsolute(directory));
  return [...new Set([...own, ...STANDARD_DIRECTORIES])];
}

/** The first executable systemd-nspawn in the directories; undefined where it is not installed. */
export function findNspawn(directories = searchDirectories(process.env["PATH"])): string | undefined {
  return directories.map((directory) => join(directory, PROGRAM)).find(isExecutable);
}

/** What a program said of itself, for as long as its file is the same: it is asked at every start of a task. */
let known: { readonly file: string; readonly nspawn: InstalledNspawn } | undefined;

/**
 * Finds systemd-nspawn and asks its version; undefined where it is not installed.
 *
 * @throws Error when it does not run or does not tell its version
 */
export async function readNspawn(directories?: readonly string[]): Promise<InstalledNspawn | undefined> {
  const path = findNspawn(directories);
  if (path === undefined) return undefined;
  const { dev, ino, size, mtimeMs, ctimeMs } = statSync(path);
  const file = [path, dev, ino, size, mtimeMs, ctimeMs].join(":");
  if (known?.file === file) return known.nspawn;
  const child = Bun.spawn([path, "--version"], {
    env: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  const [output, complaint] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  const version = parseNspawnVersion(output);
  if (version !== undefined) {
    const nspawn = { path, version };
    known = { file, nspawn };
    return nspawn;
  }
  const ended = child.signalCode ? `was ended by ${child.signalCode}` : `ended with code ${child.exitCode}`;
  throw new Error(`${path} --version told no version (it ${ended}): ${(complaint || output).trim().slice(0, 300)}`);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch (error) {
    if (isMissing(error) || errnoCode(error) === "EACCES") return false;
    throw error;
  }
}
