/**
 * `bun run check [LEVEL…]`: all checks of this tree, or only the named levels and "sources" (lint, types, generated code). Failures are shown as they happen; the last line is
 * `N passed, N failed`.
 */

import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasReleases, previousDrivers } from "../tools/build/previous";
import { driverBinary, projectRoot } from "../tools/build/project";
import { run } from "../tools/command";
import { arm64Emulator } from "../tools/images/arm64";
import { bareHostImage } from "../tools/images/bare-hosts";
import { browserTree } from "../tools/images/browser";
import { imageCorpus } from "../tools/images/corpus";
import { hostSuites } from "../tools/images/host-tree";
import { busyboxImage, debianImage, diskImage, hostImage } from "../tools/images/images";
import { podmanImage } from "../tools/images/podman";
import { programImages } from "../tools/images/programs";
import { sshImage } from "../tools/images/ssh";
import { systemTrees } from "../tools/images/trees";
import { vmImage } from "../tools/images/vm";
import { openPrivateView } from "../tools/machines/private-view";
import { startTestHost } from "../tools/machines/test-host";
import type { TestMachine } from "../tools/machines/test-machine";
import { startVm } from "../tools/machines/vm";
import { actionlint } from "../tools/setup/actionlint";
import { conformanceTests, nomadAgent, wireClient } from "../tools/setup/nomad";
import { promtool } from "../tools/setup/prometheus";
import { installGenerator } from "../tools/site/packages";
import { type Group, groupsOf, suiteOf } from "./check/groups";
import { inLanes } from "./check/lanes";
import { type Level, leavingOut, levels, pathsOf, runLevel, upgradeTests } from "./check/levels";
import { inPrivateRun } from "./check/private-run";
import { type FirstRun, secondRuns, takeBack } from "./check/second-run";
import { build, steps } from "./check/steps";
import { add, lastLine, neverRan, nothing, type Tally, type TestNames } from "./check/tally";
import { setUp } from "./setup/setup";

const wanted = process.argv.slice(2);
/** Selects the checks that run no test. */
const SOURCES = "sources";
const selectable = [...levels.map(({ name }) => name), SOURCES];
const unknown = wanted.find((name) => !selectable.includes(name));
if (unknown !== undefined) {
  throw new Error(`Unknown level ${JSON.stringify(unknown)}; allowed: ${selectable.join(", ")}.`);
}
const say = (line: string) => console.log(line);

/** The programs that tests use, by the directory of those tests; built or fetched before the tests start. */
const testPrograms = [
  ["scripts", actionlint],
  ["scripts", promtool],
  ["test/nomad", nomadAgent],
  ["test/conformance", conformanceTests],
  ["test/wire", wireClient],
] as const;

/**
 * As many machines at once as there are processors, and one more: tests wait for Nomad, for the end of containers and for timers. The
 * virtual machine never waits, but uses one processor only.
 */
const lanes = navigator.hardwareConcurrency + 1;

async function main(): Promise<number> {
  let total = nothing;
  const measure = async (name: string, work: () => Promise<Tally>): Promise<Tally> => {
    say(`— ${name}`);
    const start = performance.now();
    const tally = await work().catch((error) => {
      console.error(error instanceof Error ? error.message : error);
      return { ...nothing, failed: 1 };
    });
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    say(`  ${name}: ${lastLine(tally)}${tally.skipped > 0 ? `, ${tally.skipped} skipped` : ""} (${seconds} s)`);
    total = add(total, tally);
    return tally;
  };
  const step = async (name: string, work: () => Promise<unknown>): Promise<void> => {
    await measure(name, async () => {
      await work();
      return { ...nothing, passed: 1 };
    });
  };

  await step("setup", () => setUp(say));
  const seen: TestNames[] = [];
  const first: FirstRun[] = [];
  const runTests = async (level: Level, group: Group, machine: TestMachine): Promise<Tally> => {
    const { tally, tests, failedFiles } = await runLevel(level, machine, say);
    seen.push(tests);
    first.push({ group, level, failed: tally.failed, failedFiles });
    return tally;
  };
  // Everything else uses the result.
  if (wanted.length === 0 || !existsSync(driverBinary())) await step("build", build);
  const named = levels.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
  const history = await hasReleases();
  if (!history) say("This clone has no history with the earlier releases: no upgrade from them is tested.");
  const chosen = (await withHosts(named, step)).map((level) => (history ? level : leavingOut(level, upgradeTests)));
  await step("images", () => images(chosen));

  const directory = await mkdtemp(join(tmpdir(), "check-"));
  const traces = (verb: string) => [process.execPath, join(projectRoot, "scripts/check/traces.ts"), verb];
  await run([...traces("save"), join(directory, "traces.json")]);
  const sources = async () => {
    for (const { name, check } of steps) await step(name, check);
  };
  const left = new Map<Group, number>();
  await inLanes(lanes, [
    ...groupsOf(chosen).map((group) => async () => {
      left.set(group, await levelsInside({ group, measure, runTests }));
    }),
    ...(wanted.length === 0 || wanted.includes(SOURCES) ? [sources] : []),
  ]);
  for (const { group, first: runs } of secondRuns(first)) {
    const before = total.failed;
    await levelsInside({ group, measure, runTests });
    if (total.failed > before) continue;
    for (const { level, failedFiles } of runs)
      say(`failed at first, not alone: ${level.name}: ${failedFiles.join(", ")}`);
    const failures = runs.reduce((sum, { failed }) => sum + failed, 0);
    // What a failed test left in the machine was its failure too.
    total = takeBack(total, failures + Math.max(...runs.map((run) => left.get(run.group) ?? 0)));
  }
  await step("nothing is left on this machine", () => run([...traces("compare"), join(directory, "traces.json")]));
  await rm(directory, { recursive: true });

  // A test may need another kernel, or systemd as PID 1: then another level has to run it.
  const never = wanted.length === 0 ? neverRan(seen) : [];
  const incomplete = process.env["CI"] === "true" && never.length > 0;
  for (const name of never) say(`skipped in every level${incomplete ? ", with CI=true a failure" : ""}: ${name}`);
  for (const { name } of named) {
    if (!chosen.some((level) => level.name === name))
      say(`the level ${name} was not run: its test host could not be made`);
  }
  say(lastLine(total));
  return total.failed > 0 || incomplete ? 1 : 0;
}

/** The images of the containers, of the virtual machine, and the Go programs, as far as these levels use them. */
async function images(chosen: readonly Level[]): Promise<void> {
  for (const image of [busyboxImage, diskImage, debianImage]) await image(say);
  for (const [directory, program] of testPrograms) {
    if (chosen.some(({ paths }) => paths.some((path) => path.startsWith(directory)))) await program(say);
  }
  if (chosen.some(({ place }) => place === "vm")) await vmImage(say);
  const files = chosen.flatMap(pathsOf);
  const runs = (test: string) => files.some((path) => test === path || test.startsWith(`${path}/`));
  if (upgradeTests.some(runs)) await previousDrivers(say);
  if (runs("test/build/arm64.test.ts")) await arm64Emulator(say);
  if (runs("test/install/bare-hosts.test.ts")) await bareHosts();
  if (runs("test/build/site.test.ts")) {
    await installGenerator();
    await browserTree(say);
  }
  if (chosen.some(({ paths }) => paths.includes("test/programs"))) {
    await programImages(say);
    await podmanImage(say);
    await sshImage(say);
    await imageCorpus(say);
    await systemTrees(say);
  }
}

/** The hosts for the tests of docs/install.md. That of sid cannot be built on every day: then its test is skipped, and reported. */
async function bareHosts(): Promise<void> {
  for (const suite of hostSuites) {
    const made = bareHostImage(suite, say);
    if (suite !== "sid") await made;
    else
      await made.catch((error: unknown) =>
        say(`cannot build sid's bare host: ${error instanceof Error ? error.message : error}`),
      );
  }
}

/**
 * Builds the trees of the levels' test hosts. Sid changes daily: if its tree cannot be built, which is not a fault of this
 * repository, its level is left out and the check says so.
 *
 * @returns the levels that have a machine to run in
 */
async function withHosts(
  chosen: readonly Level[],
  step: (name: string, work: () => Promise<unknown>) => Promise<void>,
): Promise<readonly Level[]> {
  let made = chosen;
  // The tests of the test host itself also boot trixie's.
  const wantedSuites = hostSuites.filter(
    (each) => each === "trixie" || chosen.some((level) => suiteOf(level) === each),
  );
  for (const suite of wantedSuites) {
    const image = () => hostImage(say, suite);
    if (suite !== "sid") {
      await step(`image of the test host, ${suite}`, image);
      continue;
    }
    const failure = await image().then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    if (failure === undefined) continue;
    say(`The test host of sid could not be made, so nothing is tested with its systemd: ${failure}`);
    made = made.filter((level) => suiteOf(level) !== suite);
  }
  return made;
}

/** Levels, and how to run them. */
interface GroupRun {
  readonly group: Group;
  readonly measure: (name: string, work: () => Promise<Tally>) => Promise<Tally>;
  readonly runTests: (level: Level, group: Group, machine: TestMachine) => Promise<Tally>;
}

function startMachine({ place, suite }: Group): Promise<TestMachine> {
  if (place === "vm") return startVm(say);
  return place === "machine" ? openPrivateView() : startTestHost(say, suite);
}

/**
 * All levels of a group share one machine.
 *
 * @returns how many failures are not of tests: something was left in the machine
 */
async function levelsInside({ group, measure, runTests }: GroupRun): Promise<number> {
  let machine: TestMachine | undefined;
  await measure(`${group.name} boots`, async () => {
    machine = await startMachine(group);
    if (machine.state !== "running") {
      throw new Error(`The machine "${group.name}" says "${machine.state}":\n${await failedUnits(machine)}`);
    }
    return { ...nothing, passed: 1 };
  });
  const booted = machine;
  try {
    const traces = (verb: string) => ["bun", join(projectRoot, "scripts/check/traces.ts"), verb];
    const file = booted === undefined ? "" : join(booted.share.inside, "traces.json");
    await booted?.exec([...traces("save"), file]);
    for (const level of group.levels) {
      await measure(level.name, async () => {
        if (booted === undefined)
          throw new Error(`The machine "${group.name}" did not boot, so this level was not run.`);
        return runTests(level, group, booted);
      });
    }
    if (booted === undefined) return 0;
    const { failed } = await measure(`nothing is left in ${group.name}`, async () => {
      const compared = await booted.exec([...traces("compare"), file]);
      if (compared.code !== 0) throw new Error(`${compared.stdout}${compared.stderr}`);
      return { ...nothing, passed: 1 };
    });
    return failed;
  } finally {
    await booted?.stop();
  }
}

async function failedUnits(machine: TestMachine): Promise<string> {
  return (await machine.exec(["systemctl", "--failed", "--no-pager", "--plain"])).stdout;
}

const inner = process.env["NSPAWN_CHECK_INNER"] === "1";
process.env["NSPAWN_CHECK_INNER"] = "1";
process.exitCode =
  (inner ? undefined : await inPrivateRun([process.execPath, ...process.argv.slice(1)])) ?? (await main());
