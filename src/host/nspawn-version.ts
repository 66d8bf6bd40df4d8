import { statSync } from "node:fs";
import { parseNspawnVersion } from "../nspawn/features";
import { findProgram } from "./programs";

const PROGRAM = "systemd-nspawn";
const TIMEOUT_MS = 10_000;

/** An installed systemd-nspawn. */
export interface InstalledNspawn {
  /** Absolute path of the program. */
  readonly path: string;
  /** Major version, such as 257. */
  readonly version: number;
}

/** The first executable systemd-nspawn in the directories; undefined where it is not installed. */
export function findNspawn(directories?: readonly string[]): string | undefined {
  return findProgram(PROGRAM, directories);
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
