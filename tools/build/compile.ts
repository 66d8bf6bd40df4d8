/** Source tree → one executable. */

import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { run } from "../command";
import { bunRuntime } from "./bun-runtime";
import { binaryName } from "./project";
import { AMD64, type Target } from "./targets";

/** What to compile. */
export interface Compilation {
  /** Source tree: bun runs in it, so that the result contains no path of the machine. */
  readonly root: string;
  /** Entry point, relative to the tree. */
  readonly entry: string;
  /** Path of the executable to write; replaced atomically. */
  readonly outfile: string;
  /** Git commit to embed. */
  readonly commit: string;
  /** Its time, in seconds since the epoch. */
  readonly time: number;
  /** The machine that it is for; x86-64 by default. */
  readonly target?: Target;
}

/**
 * Compiles an executable. The same tree and commit give the same bytes in any directory.
 *
 * @throws CommandFailedError with bun's output
 */
export async function compile({ root, entry, outfile, commit, time, target = AMD64 }: Compilation): Promise<void> {
  const runtime = await bunRuntime(target);
  await mkdir(dirname(outfile), { recursive: true });
  const scratch = await mkdtemp(join(dirname(outfile), ".compile-"));
  try {
    // bun writes the file's name into the executable, so it is always the same name.
    const built = join(scratch, binaryName);
    await run(
      [
        ...[process.execPath, "build", entry, "--compile", "--minify", "--bytecode", `--target=${target.bun}`],
        `--compile-executable-path=${runtime}`,
        ...["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"],
        ...["--no-compile-autoload-tsconfig", "--no-compile-autoload-package-json"],
        // bun would replace it by the directory of the sources, which the executable must not contain.
        `--define=import.meta.dir="/$bunfs/root"`,
        `--define=BUILD_COMMIT=${JSON.stringify(commit)}`,
        `--define=BUILD_TIME=${time}`,
        `--outfile=${built}`,
      ],
      { cwd: root },
    );
    await rename(built, outfile);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
