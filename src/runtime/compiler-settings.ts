import { executeAgain } from "../linux/execute";

/**
 * How often a function has to run before the runtime compiles it, and before it compiles it a second time, with optimizations: its defaults,
 * 500 and 1000, are reached by what the first hundred starts of tasks use, and compiling that costs more than it saves
 * (docs/performance.md). The runtime reads its settings from the environment, before any JavaScript runs.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  BUN_JSC_thresholdForJITAfterWarmUp: "3000",
  BUN_JSC_thresholdForJITSoon: "3000",
  BUN_JSC_thresholdForOptimizeAfterWarmUp: "20000",
  BUN_JSC_thresholdForOptimizeAfterLongWarmUp: "20000",
};

/** The settings that an environment lacks, as "NAME=VALUE"; none if it has one of them: then the operator, or this process, has set it. */
export function missingSettings(environment: Readonly<Record<string, string | undefined>>): readonly string[] {
  const names = Object.keys(SETTINGS);
  if (names.some((name) => environment[name] !== undefined)) return [];
  return names.map((name) => `${name}=${SETTINGS[name]}`);
}

/**
 * Starts this process again in place if it runs without the settings; the agent does not notice, because the handshake comes later. Returns
 * if it has them, or cannot be started again.
 */
export function useCompilerSettings(environment: Readonly<Record<string, string | undefined>>): void {
  const missing = missingSettings(environment);
  if (missing.length > 0) executeAgain(missing);
}
