import { existsSync } from "node:fs";
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
 * @param directory of the changes; undefined, or missing if they are in memory, where the tmpfs has the limit; undefined too if a quota limits them
 */
export function changesLimit(directory: string | undefined, limit: number | undefined): ChangesLimit | undefined {
  if (limit === undefined || directory === undefined || !existsSync(directory)) return undefined;
  return { limit, measure: (signal) => diskUsage(directory, signal) };
}

async function diskUsage(directory: string, signal: AbortSignal): Promise<number> {
  const [du, nice] = [findProgram("du"), findProgram("nice")];
  if (du === undefined) throw new Error("The program du is not installed.");
  const lower = nice === undefined ? [] : [nice, "-n", NICE];
  // The switches of GNU and busybox.
  const process = Bun.spawn([...lower, du, "-s", "-k", "-x", directory], {
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

/** The bytes in the output of `du -s -k`, which is complete also if files vanished meanwhile; undefined if there is none. */
export function parseDiskUsage(text: string): number | undefined {
  const [, blocks] = /^(\d+)\t/.exec(text) ?? [];
  return blocks === undefined ? undefined : Number(blocks) * 1024;
}
