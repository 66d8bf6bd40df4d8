/** `bun scripts/plots.ts`: draws the plots of docs/performance.md from its tables, into docs/assets. */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { projectRoot } from "../tools/build/project";
import { performancePlots } from "../tools/plots/performance";

const page = await readFile(join(projectRoot, "docs/performance.md"), "utf8");
for (const [name, svg] of Object.entries(performancePlots(page))) {
  await writeFile(join(projectRoot, "docs/assets", name), svg);
  console.log(`docs/assets/${name}`);
}
