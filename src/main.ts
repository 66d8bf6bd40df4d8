import { isPluginEnvironment } from "./plugin/handshake";

/** Runs what the arguments and the environment ask for: a supervising process, the plugin, or a command. */
async function main(args: readonly string[]): Promise<number> {
  // Nothing that is started from here is to be told what bun itself loads or becomes.
  for (const name of Object.keys(process.env)) if (name.startsWith("BUN_")) delete process.env[name];
  const [first, ...rest] = args;
  // Imported where they are needed: a supervising process lives as long as its task and holds nothing else in memory.
  if (first === "supervise") return (await import("./supervisor/process/supervise")).superviseMain(rest);
  if (first === "unpack") return (await import("./image/unpack/unpack-main")).unpackMain(rest);
  if (first === "sync-store") return (await import("./image/unpack/unpack-main")).syncMain(rest);
  if (isPluginEnvironment(process.env)) return (await import("./driver/plugin-main")).runPlugin();
  return (await import("./cli/command-line")).commandLine(args);
}

/** Ends the process when what was printed is out; a reader that went away is no reason to stay. */
function end(code: number): void {
  process.stdout.on("error", () => process.exit(code));
  process.stdout.write("", () => process.exit(code));
}

// No top-level await: bytecode has none.
main(process.argv.slice(2)).then(end, (error: unknown) => {
  console.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
  end(1);
});
