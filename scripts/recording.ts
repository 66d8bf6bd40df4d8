/**
 * `bun scripts/recording.ts`: makes the README's recording of installing the driver and running a first job. The test of docs/install.md runs in
 * a test host and leaves what its commands printed; this writes it as a file of asciinema and as a picture, into docs/assets.
 */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { projectRoot } from "../tools/build/project";
import { startTestHost } from "../tools/machines/test-host";
import { castOf, castText, RECORDING } from "../tools/recording/cast";
import { castSvg } from "../tools/recording/svg";

const steps = v.array(
  v.object({
    command: v.array(v.string()),
    at: v.number(),
    output: v.array(v.object({ at: v.number(), text: v.string() })),
  }),
);

await using host = await startTestHost((line) => console.error(line));
const file = join(host.share.inside, "recording.json");
const argv = ["timeout", "280", "bun", "test", "./test/nomad/install.test.ts"];
const { code } = await host.exec(argv, { cwd: projectRoot, output: "show", env: { NSPAWN_RECORDING: file } });
if (code !== 0) throw new Error("The commands of docs/install.md failed: there is nothing to record.");
const recorded = v.parse(steps, JSON.parse((await host.read(file)) ?? "[]"));
const cast = castOf(recorded, { width: 110, height: 30, title: "From a release to a running job" });
await mkdir(join(projectRoot, "docs/assets"), { recursive: true });
await writeFile(join(projectRoot, RECORDING.cast), castText(cast));
await writeFile(join(projectRoot, RECORDING.svg), castSvg(cast));
console.log(`${RECORDING.cast}, ${RECORDING.svg}`);
