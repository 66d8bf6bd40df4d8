import { expect, test } from "bun:test";
import { missingSettings } from "./compiler-settings";

test.each([
  [{}, 4],
  [{ PATH: "/usr/bin", BUN_OPTIONS: "--smol" }, 4],
  [{ BUN_JSC_thresholdForOptimizeAfterWarmUp: "20000" }, 0],
  [{ BUN_JSC_thresholdForOptimizeAfterLongWarmUp: "1000" }, 0],
])("the environment %j lacks %d settings", (environment, count) => {
  const missing = missingSettings(environment);
  expect(missing).toHaveLength(count);
  for (const variable of missing) expect(variable).toMatch(/^BUN_JSC_\w+=\d+$/);
});
