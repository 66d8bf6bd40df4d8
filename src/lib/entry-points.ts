/**
 * The argv that starts this program again: the compiled binary alone, or bun with the main module when run from sources
 * (bun's "Single-file executable" page: embedded files live under /$bunfs/).
 */
export function selfCommand(): readonly string[] {
  return Bun.main.startsWith("/$bunfs/") ? [process.execPath] : [process.execPath, Bun.main];
}
