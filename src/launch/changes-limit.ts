import { findProgram } from "../linux/programs";
import { LaunchError } from "../supervisor/supervisor";

/** A limit of a task's changes to its root, on the disk of the image store, that the kernel does not enforce. */
export interface ChangesLimit {
  /** Bytes. */
  readonly limit: number;
  /** The bytes that the changes take. @throws Error if that cannot be measured */
  measure(signal: AbortSignal): Promise<number>;
}

/**
 * Refuses a limit that this client can neither enforce nor measure.
 *
 * @param hasQuotas whether the kernel limits what is in the image store
 * @throws LaunchError
 */
export async function requireMeasurable(limit: number | undefined, hasQuotas: () => Promise<boolean>): Promise<void> {
  if (limit === undefined || findProgram("du") !== undefined || (await hasQuotas())) return;
  throw new LaunchError(
    "The task has a storage_limit, of its own or of the plugin's config, and the program du, which measures its changes, is not installed on this client.",
    { recoverable: false },
  );
}

/** The lowest priority: measuring may wait. */
const NICE = "19";

/**
 * The limit of a machine's changes, measured by du(1): it follows no symlink that the container puts in a directory's place meanwhile,
 * counts blocks and not sizes, and a file with several links once.
 *
 * @param directories of the changes; none if they are in memory, where the tmpfs has the limit, or if a quota limits them
 */
export function changesLimit(directories: readonly string[], limit: number | undefined): ChangesLimit | undefined {
  if (limit === undefined || directories.length === 0) return undefined;
  return { limit, measure: (signal) => diskUsage(directories, signal) };
}

async function diskUsage(directories: readonly string[], signal: AbortSignal): Promise<number> {
  const [du, nice] = [findProgram("du"), findProgram("nice")];
  if (du === undefined) throw new Error("The program du is not installed.");
  const lower = nice === undefined ? [] : [nice, "-n", NICE];
  // The switches of GNU and busybox.
  const process = Bun.spawn([...lower, du, "-s", "-k", "-x", ...directories], {
    env: { LC_ALL: "C" },
    stdio: ["ignore", "pipe", "ignore"],
    signal,
  });
  const text = await new Response(process.stdout).text();
  await process.exited;
  const bytes = parseDiskUsage(text);
  if (bytes === undefined) throw new Error("The program du printed no size.");
  return bytes;
}

/**
 * The bytes in the output of `du -s -k`, a line for each directory, which is complete also if files vanished meanwhile; undefined if there
 * is none.
 */
export function parseDiskUsage(text: string): number | undefined {
  const blocks = [...text.matchAll(/^(\d+)\t/gm)].map(([, digits]) => Number(digits));
  return blocks.length === 0 ? undefined : blocks.reduce((sum, some) => sum + some, 0) * 1024;
}
