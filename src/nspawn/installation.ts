import { type FSWatcher, statSync, watch } from "node:fs";
import { ifThere } from "../lib/errors";
import { findProgram, searchDirectories } from "../linux/programs";
import { parseNspawnVersion } from "./features";

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

/**
 * A program's reported version, cached as long as its file is unchanged: it is needed at every start of a task. Starts that come together
 * share one process.
 */
let known: { readonly file: string; readonly nspawn: Promise<InstalledNspawn> } | undefined;

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
  if (known?.file !== file) {
    const reading = { file, nspawn: readVersion(path) };
    known = reading;
    reading.nspawn.catch(() => {
      if (known === reading) known = undefined;
    });
  }
  return known.nspawn;
}

async function readVersion(path: string): Promise<InstalledNspawn> {
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
  if (version !== undefined) return { path, version };
  const ended = child.signalCode ? `killed by ${child.signalCode}` : `exit code ${child.exitCode}`;
  throw new Error(
    `cannot parse the output of ${path} --version (${ended}): ${(stderr || output).trim().slice(0, 300)}`,
  );
}

const QUIET_MS = 250;

/**
 * Calls `changed` when systemd-nspawn was installed, replaced or removed in one of the directories: once, a quarter of a
 * second after the last file event, because a package manager causes several. A directory that does not exist is
 * not watched; the watchers do not keep the process alive.
 * @returns stops watching
 */
export function watchNspawn(
  changed: () => void,
  directories: readonly string[] = searchDirectories(process.env["PATH"]),
): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const notice = (name: string | null): void => {
    // dpkg and rpm write to a temporary name and rename; both names begin with the program's.
    if (name !== null && !name.startsWith("systemd-nspawn")) return;
    clearTimeout(timer);
    timer = setTimeout(changed, QUIET_MS);
    timer.unref();
  };
  const watchers = directories.flatMap((directory) => start(directory, notice));
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}

function start(directory: string, notice: (name: string | null) => void): FSWatcher[] {
  return ifThere(() => {
    const watcher = watch(directory, { persistent: false }, (_, name) => notice(name));
    // The directory itself may be removed: then its content is gone too, and nothing is left to watch.
    watcher.on("error", () => {
      watcher.close();
      notice(null);
    });
    return [watcher];
  }, []);
}
