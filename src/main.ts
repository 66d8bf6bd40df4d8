import { isPluginEnvironment } from "./plugin/handshake";

/** Runs what the arguments and the environment select: a shim, the plugin, or a command. */
async function main(args: readonly string[]): Promise<number> {
  const [first, ...rest] = args;
  if (first === undefined && isPluginEnvironment(process.env)) {
    (await import("./runtime/compiler-settings")).useCompilerSettings(process.env);
  }
  // Child processes must not inherit variables that change what Bun loads or runs as.
  for (const name of Object.keys(process.env)) if (name.startsWith("BUN_")) delete process.env[name];
  // Imported on demand: a shim lives as long as its task, and should hold nothing else in memory.
  if (first === "supervise") return (await import("./supervisor/process/shim")).shimMain(rest);
  if (first === "unpack") return (await import("./image/archive/worker")).unpackMain(rest);
  if (first === "sync-store") return (await import("./image/archive/worker")).syncMain(rest);
  if (isPluginEnvironment(process.env)) return (await import("./runtime/plugin-process")).runPlugin();
  return (await import("./cli/command-line")).commandLine(args);
}

/** Exits once all output is written, or once its reader went away. */
function end(code: number): void {
  process.stdout.on("error", () => process.exit(code));
  process.stdout.write("", () => process.exit(code));
}

// No top-level await: Bun's bytecode does not support it.
main(process.argv.slice(2)).then(end, (error: unknown) => {
  console.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
  end(1);
});
