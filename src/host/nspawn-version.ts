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

/** The first executable systemd-nspawn in the directories; undefined if it is not installed. */
export function findNspawn(directories?: readonly string[]): string | undefined {
  return findProgram(PROGRAM, directories);
}

/** A program's reported version, cached as long as its file is unchanged: it is needed at every start of a task. */
let known: { readonly file: string; readonly nspawn: InstalledNspawn } | undefined;

/**
 * Finds systemd-nspawn and reads its version; undefined if it is not installed.
 *
 * @throws Error if it does not run or its version cannot be parsed
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
  const [output, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  const version = parseNspawnVersion(output);
  if (version !== undefined) {
    const nspawn = { path, version };
    known = { file, nspawn };
    return nspawn;
  }
  const ended = child.signalCode ? `killed by ${child.signalCode}` : `exit code ${child.exitCode}`;
  throw new Error(
    `cannot parse the output of ${path} --version (${ended}): ${(stderr || output).trim().slice(0, 300)}`,
  );
}
