/**
 * `bun run demo`: from a fresh machine to a running container, and back to a machine without a trace of it.
 * Imports nothing from npm, because on a fresh machine nothing is installed before the first step.
 */

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { errorText } from "../src/lib/errors";
import { binaryName, distDir, projectRoot } from "../tools/build/project";
import { run } from "../tools/command";
import { busyboxImage } from "../tools/images/images";
import { hostState } from "../tools/leftovers";
import { inPrivateRun } from "./check/private-run";
import { type ContainerRun, runContainer } from "./demo/container";
import { dim, Progress } from "./demo/progress";
import { countText, tracesLeft, tracesOf } from "./demo/traces";
import { setUp } from "./setup/setup";

/** A command for the running container: it lists the container's processes, including itself. */
const execScript = "echo a second program in the same container; ps -o pid,user,args | tail -n 4";

const binary = join(distDir, binaryName);

async function main(): Promise<number> {
  const progress = new Progress();
  const start = performance.now();
  console.log("A systemd-nspawn container, started as a Nomad agent would start it\n");

  await progress.step("What this machine needs", setUp);
  await progress.step("The executable, from source", async () => {
    await run([process.execPath, "scripts/build.ts", "--binary-only"], { cwd: projectRoot });
  });
  const image = await progress.step("A small image: Debian's busybox", busyboxImage);
  // doctor exits with an error if no container can be started, and says how to fix that.
  const doctor = await run([binary, "doctor"]).catch((error: unknown) => {
    throw new Error(`This machine cannot run containers: ${errorText(error)}`);
  });
  console.log(`\n${dim(supervisorLine(doctor.stdout))}\n`);

  const before = await hostState();
  let running: readonly string[] = [];
  const container = await runContainer(binary, image, async (machine) => {
    running = await tracesOf(machine, before);
    const { stdout } = await run([binary, "exec", machine, "--", "/bin/sh", "-c", execScript]);
    for (const line of stdout.trimEnd().split("\n")) console.log(`  ${dim("exec │")} ${line}`);
  });
  const left = await tracesLeft(container.machine, before);
  console.log(`\nStopped with exit code ${container.code}.`);
  console.log(`While it ran there was ${countText(running)} of it; now there is ${countText(left)}.`);
  for (const sentence of left) console.log(`  ${sentence}`);

  await summary(progress, container, performance.now() - start);
  return left.length === 0 && container.code === 0 ? 0 : 1;
}

/** The supervisor that doctor reports. */
function supervisorLine(report: string): string {
  return /^ok +supervisor +(.*)$/m.exec(report)?.[1] ?? report;
}

async function summary(progress: Progress, container: ContainerRun, whole: number): Promise<void> {
  const rows = [
    ...progress.done.map(({ title, seconds }) => [title, `${seconds.toFixed(1)} s`] as const),
    ["From command to the container's first line", `${container.firstLine.toFixed(0)} ms`] as const,
    ["From SIGTERM to its end, all removed", `${container.stop.toFixed(0)} ms`] as const,
    ["Everything", `${(whole / 1000).toFixed(1)} s`] as const,
  ];
  const width = Math.max(...rows.map(([title]) => title.length));
  console.log(`\n${rows.map(([title, value]) => `  ${title.padEnd(width)}  ${value.padStart(8)}`).join("\n")}`);
  const size = ((await stat(binary)).size / 1e6).toFixed(0);
  console.log(`\nThe executable is ${binary} (${size} MB). Try: ${binary} help`);
}

const inner = process.env["NSPAWN_DEMO_INNER"] === "1";
process.env["NSPAWN_DEMO_INNER"] = "1";
try {
  const outer = inner ? undefined : await inPrivateRun([process.execPath, ...process.argv.slice(1)]);
  process.exitCode = outer ?? (await main());
} catch (error) {
  console.error(`\n${errorText(error)}`);
  process.exitCode = 1;
}
