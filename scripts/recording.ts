/**
 * `bun scripts/recording.ts`: makes the README's recording of installing the driver and running a first job. The test of docs/install.md leaves what its commands printed; this writes it as a file of asciinema and as a picture, into docs/assets.
 */

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { projectRoot } from "../tools/build/project";
import { attempt } from "../tools/command";
import { castOf, castText, RECORDING } from "../tools/recording/cast";
import { castSvg } from "../tools/recording/svg";

const steps = v.array(
  v.object({
    command: v.array(v.string()),
    at: v.number(),
    output: v.array(v.object({ at: v.number(), text: v.string() })),
  }),
);

const file = join(tmpdir(), `recording-${process.pid}.json`);
const argv = [
  "bun",
  "test",
  "--timeout",
  "600000",
  "./test/install/bare-hosts.test.ts",
  "--test-name-pattern",
  "bare trixie",
];
const env = { ...process.env, NSPAWN_RECORDING: file };
const { code } = await attempt(argv, { cwd: projectRoot, output: "show", env });
if (code !== 0) throw new Error("The commands of docs/install.md failed: nothing was recorded.");
const recorded = v.parse(steps, JSON.parse(await readFile(file, "utf8")));
await rm(file);
const cast = castOf(recorded, { width: 110, height: 30, title: "From a release to a running job" });
await mkdir(join(projectRoot, "docs/assets"), { recursive: true });
await writeFile(join(projectRoot, RECORDING.cast), castText(cast));
await writeFile(join(projectRoot, RECORDING.svg), castSvg(cast));
console.log(`${RECORDING.cast}, ${RECORDING.svg}`);
