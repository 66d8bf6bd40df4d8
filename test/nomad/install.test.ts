/**
 * docs/install.md to the letter: its commands, in order, on a host with the files of a release and Nomad. The recording in the README is made
 * of the same run (scripts/recording.ts), and compared with it here.
 */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import packageJson from "../../package.json";
import { becomesTrue } from "../../src/lib/deadline";
import { driverBinary, projectRoot } from "../../tools/build/project";
import { attempt, run } from "../../tools/command";
import { debianImage } from "../../tools/images/images";
import { parseCast, RECORDING, stepsIn } from "../../tools/recording/cast";
import { linesOf, type Step, steadyPart, stepsOf, type TimedLine } from "../../tools/recording/transcript";
import { signSums, writeSums, writeTarball } from "../../tools/release/artifacts";
import { nomadAgent } from "../../tools/setup/nomad";

interface Block {
  readonly text: string;
  readonly needs: string | undefined;
  /** The heading above it. */
  readonly section: string;
}

/** The shell blocks of a page; ```sh needs=internet marks one that a test replaces. */
function shellBlocks(page: string): readonly Block[] {
  return page.split(/^## /m).flatMap((part) => {
    const section = part.split("\n")[0] ?? "";
    const blocks = [...part.matchAll(/^```sh(?: needs=(\w+))?\n(.*?)^```$/gms)];
    return blocks.map(([, needs, text = ""]) => ({ text, needs, section }));
  });
}

/** What the recording shows. */
const RECORDED = ["Install", "Configure the agent", "Run a job"];

/** Runs a script as `sh -v`; returns its exit code and what it printed, with the commands, each line with its time. */
async function runScript(text: string): Promise<{ readonly code: number; readonly printed: readonly TimedLine[] }> {
  await writeFile(join(directory, "step.sh"), `exec 2>&1\n${text}`);
  const pieces: TimedLine[] = [];
  const decoder = new TextDecoder();
  // The shell's first line goes to another stream.
  const output = (bytes: Uint8Array, from: string) => {
    if (from === "stdout") pieces.push({ at: performance.now() / 1000, text: decoder.decode(bytes, { stream: true }) });
  };
  const { code } = await attempt(["sh", "-euv", "step.sh"], { cwd: directory, env, output });
  return { code, printed: linesOf(pieces) };
}

const IMAGE = "/var/lib/machines/debian";
const stack = new AsyncDisposableStack();
let directory = "";
let env: Record<string, string | undefined> = {};
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "install-"));
  stack.defer(() => rm(directory, { recursive: true }));
  const [scratch, bin, keys] = ["scratch", "bin", "keys"].map((name) => join(directory, name));
  if (scratch === undefined || bin === undefined || keys === undefined) return;
  for (const path of [scratch, bin, keys]) await mkdir(path, { mode: 0o700 });
  await copyFile(await nomadAgent(), join(bin, "nomad"));
  await chmod(join(bin, "nomad"), 0o755);
  env = { ...process.env, PATH: `${bin}:${process.env["PATH"]}`, GNUPGHOME: keys };
  stack.defer(async () => void (await attempt(["gpgconf", "--kill", "all"], { env })));
  const key = ["--quick-generate-key", "install test <test@localhost>", "ed25519", "sign", "never"];
  await run(["gpg", "--batch", "--passphrase", "", "--pinentry-mode", "loopback", ...key], { env });
  const release = {
    version: packageJson.version,
    binary: driverBinary(),
    time: 1_764_000_000,
    directory,
    scratch,
    quick: true,
  };
  await writeSums(directory, [await writeTarball(release)]);
  await signSums(directory, "test@localhost", env);
}, 300_000);
afterAll(async () => {
  await stopAgent();
  for (const path of [IMAGE, "/opt/nomad", "/etc/nomad.d"]) await rm(path, { recursive: true, force: true });
  await stack.disposeAsync();
}, 60_000);

/** Ends the agent that the page starts, also after a failure, and waits for its end. */
async function stopAgent(): Promise<void> {
  const pid = Number(await readFile(join(directory, "nomad.pid"), "utf8").catch(() => ""));
  const runs = () => existsSync(`/proc/${pid}/exe`);
  if (pid === 0 || !runs()) return;
  process.kill(pid, "SIGINT");
  if (!(await becomesTrue(() => !runs(), { firstMs: 50, longestMs: 200, timeoutMs: 30_000 })))
    process.kill(pid, "SIGKILL");
}

/** What the page downloads, from the cache of test images. */
async function withoutInternet(text: string): Promise<void> {
  expect(text).toContain(` ${IMAGE}\n`);
  await mkdir("/var/lib/machines", { recursive: true, mode: 0o700 });
  await run(["cp", "--archive", await debianImage(), IMAGE]);
}

test("every command succeeds, and the job's output is what the page promises", async () => {
  const page = await readFile(join(projectRoot, "docs/install.md"), "utf8");
  const blocks = shellBlocks(page);
  expect(blocks.length).toBeGreaterThan(8);
  const outputs: string[] = [];
  const recorded: Step[] = [];
  for (const { text, needs, section } of blocks) {
    if (needs === "internet") {
      await withoutInternet(text);
      continue;
    }
    const { code, printed } = await runScript(text);
    const output = printed.map((line) => line.text).join("\n");
    expect({ text, code, output: code === 0 ? "" : output }).toEqual({ text, code: 0, output: "" });
    outputs.push(output);
    if (RECORDED.includes(section)) recorded.push(...stepsOf(text, printed));
  }
  const output = outputs.join("\n");
  expect(output).toContain(`nomad-driver-nspawn_${packageJson.version}_linux_amd64.tar.xz: OK`);
  expect(output).toMatch(/^systemd$/m);
  for (const path of ["/opt/nomad/plugins/nspawn", "/var/lib/nomad-driver-nspawn"])
    expect(existsSync(path)).toBe(false);
  await compareRecording(recorded);
}, 300_000);

/** The recording shows this run's commands and results; scripts/recording.ts wants the run itself, to make another. */
async function compareRecording(steps: readonly Step[]): Promise<void> {
  const wanted = process.env["NSPAWN_RECORDING"];
  if (wanted !== undefined) return writeFile(wanted, JSON.stringify(steps));
  const shown = stepsIn(parseCast(await readFile(join(projectRoot, RECORDING.cast), "utf8")));
  expect(steps.map(steadyPart)).toEqual(shown.map(steadyPart));
}
