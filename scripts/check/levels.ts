/** The test levels, and a function that runs one. */

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "../../tools/build/project";
import type { HostSuite } from "../../tools/images/host-tree";
import type { TestMachine } from "../../tools/machines/test-machine";
import { TIMEOUT_SCALE_VARIABLE } from "../../tools/timeout-scale";
import { namedLines } from "./lanes";
import { failedFiles, slowestFiles, type Tally, type TestNames, tallyOf, testNames } from "./tally";

/** A group of tests, and where they run. */
export interface Level {
  readonly name: string;
  /** Directories of the tests, and single files of tests, relative to the repository. */
  readonly paths: readonly string[];
  /** Files below these directories that other levels run, each for the reason that its list gives. */
  readonly without?: readonly string[];
  /** A regular expression for the full names of its tests, if not all of them run. */
  readonly only?: string;
  /** In a separate view of this machine, inside a test host with a real systemd, or in a virtual machine with its own kernel. */
  readonly place: "machine" | "host" | "vm";
  /** The Debian suite of the test host, which determines the version of systemd; trixie by default. */
  readonly suite?: HostSuite;
  /** Which test host of the suite, or which view of this machine: levels of different ones run at the same time. */
  readonly host?: string;
  /** Roughly how long it takes on two quiet cores, in seconds: the machines whose levels take longest start first. */
  readonly seconds: number;
}

/** Tests of upgrades from earlier releases, which are built from the repository's history. */
export const upgradeTests = ["test/protocol/upgrade.test.ts", "test/nomad/upgrade.test.ts"] as const;

/** Tests with an agent of what the driver does before systemd comes in, or beside it: refusals, image stores, upgrades. */
const independentOfSystemd = [
  "test/nomad/bad-config.test.ts",
  "test/nomad/doc-hcl.test.ts",
  "test/nomad/images.test.ts",
  "test/nomad/job-examples.test.ts",
  "test/nomad/upgrade.test.ts",
] as const;

/** Tests that depend on the version of systemd, and the other tests with an agent. */
const everySystemd = [
  "test/host/systemd-supervisor.test.ts",
  "test/host/daemon-reload.test.ts",
  "test/host/unit-values.test.ts",
  "test/host/systemd.test.ts",
  "test/host/bind-user.test.ts",
  "test/nomad",
  "test/protocol/directory-roots.test.ts",
  "test/protocol/disk-roots.test.ts",
] as const;

/**
 * Protocol tests of what the driver does itself before the supervisor gets the container, or beside it. Both supervisors get the
 * same from it, so they run once, in the test host, where systemd and its network and device managers react to it as on a client.
 */
const independentOfSupervisor = [
  // Links, addresses, packet filter rules.
  "test/protocol/network.test.ts",
  "test/protocol/network-trust.test.ts",
  "test/protocol/network-flood.test.ts",
  // Image store and mounts of the root.
  "test/protocol/stored-images.test.ts",
  "test/protocol/odd-images.test.ts",
  "test/protocol/stored-image-paths.test.ts",
  "test/protocol/directory-roots.test.ts",
  "test/protocol/mount-owners.test.ts",
  // Files in the container's root that the driver reads or writes.
  "test/protocol/names.test.ts",
  "test/protocol/own-addresses.test.ts",
  "test/protocol/cdi.test.ts",
  "test/protocol/symlinks.test.ts",
  "test/protocol/exec-hostile.test.ts",
  // Users, machine IDs, limits of the root, and the network's owner: the container's root and its arguments, the same for both.
  "test/protocol/users.test.ts",
  "test/protocol/machine-id.test.ts",
  "test/protocol/storage-limit.test.ts",
  "test/protocol/group-network.test.ts",
  "test/protocol/options-image.test.ts",
  "test/protocol/image-run.test.ts",
  "test/protocol/id-ranges.test.ts",
  "test/protocol/sysctl.test.ts",
] as const;

/**
 * The tests of both supervisors that depend on the kernel or on its cgroups: the virtual machine has pure cgroup v2 with every
 * controller, and a kernel that does not report the exit of a process which is not a child. Of the exit codes one of each kind. Logs, messages,
 * copies of images and many containers at once are the same with every kernel; the other levels test them.
 */
const dependentOnKernel = [
  "^supervisor (process|systemd) exits pid[12]: (exit 7|SIGKILL)",
  "^supervisor (process|systemd) exits a payload above its memory limit",
  "^supervisor (process|systemd) recovery a later plugin finds",
  "^supervisor (process|systemd) ends (kill|a SIGKILLed|a launch)",
  "^process supervisor .*(cgroup|killed with -9|limit|does not respond|replaces)",
].join("|");

/** All levels, quick ones first. */
export const levels: readonly Level[] = [
  { name: "unit", paths: ["src", "scripts", "tools"], place: "machine", seconds: 22 },
  { name: "support", paths: ["test/support"], place: "machine", seconds: 7 },
  { name: "build", paths: ["test/build"], place: "machine", seconds: 75 },
  { name: "nspawn", paths: ["test/nspawn", "test/image", "test/linux"], place: "machine", seconds: 31 },
  { name: "supervisor", paths: ["test/supervisor"], place: "machine", seconds: 45 },
  { name: "protocol", paths: ["test/protocol"], without: independentOfSupervisor, place: "machine", seconds: 260 },
  { name: "wire", paths: ["test/wire"], place: "machine", seconds: 1 },
  { name: "install", paths: ["test/install"], place: "machine", host: "with bare hosts", seconds: 100 },
  { name: "protocol in host", paths: ["test/protocol"], place: "host", host: "with clients", seconds: 400 },
  { name: "supervisor in host", paths: ["test/supervisor"], place: "host", seconds: 45 },
  { name: "conformance", paths: ["test/conformance"], place: "host", seconds: 18 },
  { name: "registry", paths: ["test/registry"], place: "host", seconds: 113 },
  { name: "host", paths: ["test/host"], place: "host", seconds: 143 },
  { name: "nomad", paths: ["test/nomad", "test/programs"], place: "host", host: "with agents", seconds: 320 },
  {
    ...{ name: "bookworm", paths: everySystemd, without: independentOfSystemd },
    ...{ place: "host", suite: "bookworm", seconds: 240 },
  },
  { name: "sid", paths: everySystemd, without: independentOfSystemd, place: "host", suite: "sid", seconds: 260 },
  {
    name: "vm",
    paths: [
      "test/vm",
      "test/protocol/stats.test.ts",
      "test/protocol/shared-cores.test.ts",
      "test/linux/overlay-root.test.ts",
    ],
    place: "vm",
    seconds: 350,
  },
  {
    name: "supervisor in vm",
    paths: ["test/supervisor", "test/host/systemd-supervisor.test.ts"],
    only: dependentOnKernel,
    place: "vm",
    seconds: 280,
  },
];

/** Milliseconds that one test may take unless it says otherwise; a machine without KVM is several times slower. */
const testTimeouts = { machine: 120_000, host: 120_000, vm: 240_000 } as const;

/** How many times longer an operation may take because other levels use the processors at the same time. */
const sharedPace = { [TIMEOUT_SCALE_VARIABLE]: "3" };

/** So many of a level's slowest files are named, for the search of what makes the check long. */
const SLOWEST = 5;

/** How a level went. */
export interface LevelResult {
  readonly tally: Tally;
  readonly tests: TestNames;
  /** The files with a failed test. */
  readonly failedFiles: readonly string[];
}

/**
 * Runs a level's tests inside the given machine, and shows failures as they happen.
 *
 * @param say receives each line of output, with the level's name in front
 */
export async function runLevel(level: Level, inside: TestMachine, say: (line: string) => void): Promise<LevelResult> {
  // A unique name, so that the report of an earlier level in the machine is not mistaken for this one's.
  const report = join(inside.share.inside, `${crypto.randomUUID()}.xml`);
  const argv = [
    ...["bun", "test", "--only-failures", `--timeout=${testTimeouts[level.place]}`],
    ...(level.only === undefined ? [] : [`--test-name-pattern=${level.only}`]),
    ...["--reporter=junit", `--reporter-outfile=${report}`],
    ...pathsOf(level).map((path) => (path.endsWith(".ts") ? `./${path}` : `./${path}/`)),
  ];
  const { take, end } = namedLines(level.name, say);
  const { code } = await inside.exec(argv, {
    cwd: projectRoot,
    output: take,
    // The virtual machine has a pace of its own.
    ...(level.place === "vm" ? {} : { env: sharedPace }),
  });
  end();
  const text = await inside.read(report);
  const slowest = slowestFiles(text, SLOWEST).map(([file, seconds]) => `${file} ${seconds.toFixed(0)} s`);
  say(`${level.name} | slowest: ${slowest.join(", ")}`);
  return { tally: tallyOf(text, code), tests: testNames(text), failedFiles: failedFiles(text) };
}

/** A level without some of its files. */
export function leavingOut(level: Level, files: readonly string[]): Level {
  const own = files.filter((file) => testFilesOf(level).includes(file) && level.without?.includes(file) !== true);
  return own.length === 0 ? level : { ...level, without: [...(level.without ?? []), ...own] };
}

/** What a level runs: its directories, or their files of tests without those that it leaves out. */
export function pathsOf({ paths, without }: Level): readonly string[] {
  if (without === undefined) return paths;
  const files = testFilesOf({ paths });
  const missing = without.find((path) => !files.includes(path));
  if (missing !== undefined) throw new Error(`${missing} is left out of a level, but does not exist.`);
  return files.filter((path) => !without.includes(path));
}

function testFilesOf({ paths }: Pick<Level, "paths">): readonly string[] {
  return paths.flatMap((path) => (path.endsWith(".ts") ? [path] : testFilesBelow(path)));
}

function testFilesBelow(directory: string): string[] {
  return readdirSync(join(projectRoot, directory), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => join(directory, name))
    .toSorted();
}
