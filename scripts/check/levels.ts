/** The test levels, and a function that runs one. */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectRoot } from "../../tools/build/project";
import { attempt } from "../../tools/command";
import type { HostSuite } from "../../tools/images/host-tree";
import type { TestMachine } from "../../tools/machines/test-machine";
import { type Tally, type TestNames, tallyOf, testNames } from "./tally";

/** A group of tests, and where they run. */
export interface Level {
  readonly name: string;
  /** Directories of the tests, and single files of tests, relative to the repository. */
  readonly paths: readonly string[];
  /** On this machine, inside a test host with a real systemd, or in a virtual machine with its own kernel. */
  readonly place: "machine" | "host" | "vm";
  /** The Debian suite of the test host, which determines the version of systemd; trixie by default. */
  readonly suite?: HostSuite;
}

/** Tests that depend on the version of systemd, and all tests with an agent. */
const everySystemd = [
  "test/host/systemd-supervisor.test.ts",
  "test/host/daemon-reload.test.ts",
  "test/host/unit-values.test.ts",
  "test/host/systemd.test.ts",
  "test/nomad",
  "test/protocol/directory-roots.test.ts",
] as const;

/** All levels, quick ones first. */
export const levels: readonly Level[] = [
  { name: "unit", paths: ["src", "scripts", "tools"], place: "machine" },
  { name: "support", paths: ["test/support"], place: "machine" },
  { name: "build", paths: ["test/build"], place: "machine" },
  { name: "nspawn", paths: ["test/nspawn", "test/image", "test/linux"], place: "machine" },
  { name: "supervisor", paths: ["test/supervisor"], place: "machine" },
  { name: "protocol", paths: ["test/protocol"], place: "machine" },
  { name: "wire", paths: ["test/wire"], place: "machine" },
  { name: "supervisor in host", paths: ["test/supervisor"], place: "host" },
  { name: "protocol in host", paths: ["test/protocol"], place: "host" },
  { name: "conformance", paths: ["test/conformance"], place: "host" },
  { name: "registry", paths: ["test/registry"], place: "host" },
  { name: "host", paths: ["test/host"], place: "host" },
  { name: "nomad", paths: ["test/nomad"], place: "host" },
  { name: "bookworm", paths: everySystemd, place: "host", suite: "bookworm" },
  { name: "sid", paths: everySystemd, place: "host", suite: "sid" },
  {
    name: "vm",
    paths: [
      "test/vm",
      "test/supervisor",
      "test/host/systemd-supervisor.test.ts",
      "test/protocol/stats.test.ts",
      "test/protocol/shared-cores.test.ts",
      "test/linux/overlay-root.test.ts",
    ],
    place: "vm",
  },
];

/** Milliseconds that one test may take unless it says otherwise; a machine without KVM is several times slower. */
const testTimeouts = { machine: 60_000, host: 60_000, vm: 240_000 } as const;

/** A network namespace with only loopback: no test can reach the internet, or change the machine's network. */
const withoutNetwork = ["unshare", "--net", "/bin/sh", "-c", 'ip link set lo up && exec "$@"', "sh"];

/** How a level went. */
export interface LevelResult {
  readonly tally: Tally;
  readonly tests: TestNames;
}

/** Runs a level's tests on this machine or inside the given one, and shows failures as they happen. */
export async function runLevel(level: Level, inside?: TestMachine): Promise<LevelResult> {
  const directory = inside?.share.inside ?? (await mkdtemp(join(tmpdir(), "report-")));
  // A unique name, so that the report of an earlier level in the machine is not mistaken for this one's.
  const report = join(directory, `${crypto.randomUUID()}.xml`);
  const argv = [
    ...["test", "--only-failures", `--timeout=${testTimeouts[level.place]}`],
    ...["--reporter=junit", `--reporter-outfile=${report}`],
    ...level.paths.map((path) => (path.endsWith(".ts") ? `./${path}` : `./${path}/`)),
  ];
  try {
    const options = { cwd: projectRoot, output: "show" } as const;
    if (inside === undefined) {
      const { code } = await attempt([...withoutNetwork, process.execPath, ...argv], options);
      return resultOf(await readFile(report, "utf8").catch(() => undefined), code);
    }
    const { code } = await inside.exec(["bun", ...argv], options);
    return resultOf(await inside.read(report), code);
  } finally {
    if (inside === undefined) await rm(directory, { recursive: true, force: true });
  }
}

const resultOf = (report: string | undefined, code: number): LevelResult => ({
  tally: tallyOf(report, code),
  tests: testNames(report),
});
