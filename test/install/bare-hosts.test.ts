/** docs/install.md to the letter: its commands, in order, on a host with the files of a release and Nomad. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import packageJson from "../../package.json";
import { becomesTrue } from "../../src/lib/deadline";
import { driverBinary, projectRoot } from "../../tools/build/project";
import { AMD64 } from "../../tools/build/targets";
import { attempt, run } from "../../tools/command";
import { debianImage } from "../../tools/images/images";
import { signSums, writeSums, writeTarball } from "../../tools/release/artifacts";
import { nomadAgent } from "../../tools/setup/nomad";

interface Block {
  readonly text: string;
  readonly needs: string | undefined;
}

/** The shell blocks of a page; ```sh needs=internet marks one that a test replaces. */
function shellBlocks(page: string): readonly Block[] {
  return [...page.matchAll(/^```sh(?: needs=(\w+))?\n(.*?)^```$/gms)].map(([, needs, text = ""]) => ({ text, needs }));
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
    target: AMD64,
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
  for (const { text, needs } of blocks) {
    if (needs === "internet") {
      await withoutInternet(text);
      continue;
    }
    await writeFile(join(directory, "step.sh"), text);
    const { code, stdout, stderr } = await attempt(["sh", "-eu", "step.sh"], { cwd: directory, env });
    expect({ text, code, stderr: code === 0 ? "" : `${stdout}${stderr}` }).toEqual({ text, code: 0, stderr: "" });
    outputs.push(stdout);
  }
  const output = outputs.join("\n");
  expect(output).toContain(`nomad-driver-nspawn_${packageJson.version}_linux_amd64.tar.xz: OK`);
  expect(output).toMatch(/^systemd$/m);
  for (const path of ["/opt/nomad/plugins/nspawn", "/var/lib/nomad-driver-nspawn"])
    expect(existsSync(path)).toBe(false);
}, 300_000);
