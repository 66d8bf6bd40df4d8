/** The levels of tests, and running one. */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestHost } from "../../test/support/test-host";
import { projectRoot } from "../build/project";
import { attempt } from "../command";
import { type Tally, tallyOf } from "./tally";

/** Tests that belong together and where they run. */
export interface Level {
  readonly name: string;
  /** Directories of the tests, relative to the repository. */
  readonly paths: readonly string[];
  /** On this very machine, or inside a test host with a real systemd. */
  readonly place: "machine" | "host";
}

/** All levels, quick ones first. */
export const levels: readonly Level[] = [
  { name: "unit", paths: ["src", "scripts"], place: "machine" },
  { name: "support", paths: ["test/support"], place: "machine" },
  { name: "build", paths: ["test/build"], place: "machine" },
  { name: "nspawn", paths: ["test/nspawn"], place: "machine" },
  { name: "supervisor", paths: ["test/supervisor"], place: "machine" },
  { name: "protocol", paths: ["test/protocol"], place: "machine" },
  { name: "supervisor in host", paths: ["test/supervisor"], place: "host" },
  { name: "protocol in host", paths: ["test/protocol"], place: "host" },
  { name: "host", paths: ["test/host"], place: "host" },
  { name: "nomad", paths: ["test/nomad"], place: "host" },
];

/** Milliseconds that one test may take unless it says otherwise. */
const testTimeout = 60_000;

/** Runs a level's tests, their failures shown as they happen. A level for the host is given one. */
export async function runLevel(level: Level, host?: TestHost): Promise<Tally> {
  const directory = host === undefined ? await mkdtemp(join(tmpdir(), "report-")) : host.share.outside;
  const file = "junit.xml";
  try {
    await rm(join(directory, file), { force: true });
    const argv = (reportDirectory: string) => [
      ...["test", "--only-failures", `--timeout=${testTimeout}`],
      ...["--reporter=junit", `--reporter-outfile=${join(reportDirectory, file)}`],
      ...level.paths.map((path) => `./${path}/`),
    ];
    const { code } =
      host === undefined
        ? await attempt([process.execPath, ...argv(directory)], { cwd: projectRoot, output: "show" })
        : await host.exec(["bun", ...argv(host.share.inside)], { cwd: projectRoot, output: "show" });
    return tallyOf(await readFile(join(directory, file), "utf8").catch(() => undefined), code);
  } finally {
    if (host === undefined) await rm(directory, { recursive: true, force: true });
  }
}
