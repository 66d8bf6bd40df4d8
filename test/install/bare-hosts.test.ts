/**
 * docs/install.md to the letter: its commands, in order, on hosts with nothing but Debian's smallest system, the files of a release and
 * the program nomad. On Debian 13 also the package, and the ways in which an agent finds what it has installed. The recording in the README is
 * made of the run on Debian 13 (scripts/recording.ts), and compared with it here.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import packageJson from "../../package.json";
import { driverBinary, projectRoot } from "../../tools/build/project";
import { AMD64 } from "../../tools/build/targets";
import { attempt, run } from "../../tools/command";
import { bareHostImage, hasBareHost } from "../../tools/images/bare-hosts";
import { hostSuites } from "../../tools/images/host-tree";
import { debianImage } from "../../tools/images/images";
import { startTestHost, type TestHost } from "../../tools/machines/test-host";
import { parseCast, RECORDING, stepsIn } from "../../tools/recording/cast";
import { linesOf, type Step, steadyPart, stepsOf, type TimedLine } from "../../tools/recording/transcript";
import { signSums, writeSums, writeTarball } from "../../tools/release/artifacts";
import { writeDeb } from "../../tools/release/packages";
import { nomadAgent } from "../../tools/setup/nomad";

const { version } = packageJson;
const NAME = `nomad-driver-nspawn_${version}_linux_amd64`;
const IMAGE = "/var/lib/machines/debian";
/** Seconds from a bare host to the first running job, without the image's download: far more than it takes on a busy machine. */
const LIMIT = 300;

interface Block {
  readonly text: string;
  readonly needs: string | undefined;
  /** The heading above it. */
  readonly section: string;
}

/** The shell blocks of a page; ```sh needs=internet marks one that the test replaces. */
function shellBlocks(page: string): readonly Block[] {
  return page.split(/^## /m).flatMap((part) => {
    const section = part.split("\n")[0] ?? "";
    const blocks = [...part.matchAll(/^```sh(?: needs=(\w+))?\n(.*?)^```$/gms)];
    return blocks.map(([, needs, text = ""]) => ({ text, needs, section }));
  });
}

/** What the recording shows. */
const RECORDED = ["Install", "Configure the agent", "Run a job"];

/** The files of a release, signed with a throw-away key whose public part is beside them. */
let release = "";
beforeAll(async () => {
  const made = await mkdtemp(join(tmpdir(), "install-"));
  release = made;
  const [scratch, keys] = [join(made, "scratch"), join(made, "keys")];
  for (const path of [scratch, keys]) await mkdir(path, { mode: 0o700 });
  const what = { version, target: AMD64, binary: driverBinary(), time: 1_764_000_000 };
  const how = { ...what, directory: made, scratch, quick: true };
  await writeSums(made, await Promise.all([writeTarball(how), writeDeb(how)]));
  const env = { ...process.env, GNUPGHOME: keys };
  const key = ["--quick-generate-key", "install test <test@localhost>", "ed25519", "sign", "never"];
  await run(["gpg", "--batch", "--passphrase", "", "--pinentry-mode", "loopback", ...key], { env });
  await signSums(made, "test@localhost", env);
  await writeFile(join(made, "key.asc"), (await run(["gpg", "--batch", "--armor", "--export"], { env })).stdout);
  await attempt(["gpgconf", "--kill", "all"], { env });
}, 300_000);
afterAll(() => rm(release, { recursive: true }));

/** A directory of a bare host with a release in it, and Nomad on the PATH. */
class BareHost implements AsyncDisposable {
  readonly #host: TestHost;
  readonly #directory: string;
  #steps = 0;

  private constructor(host: TestHost) {
    this.#host = host;
    this.#directory = `${host.share.inside}/release`;
  }

  static async boot(suite: (typeof hostSuites)[number]): Promise<BareHost> {
    const bare = new BareHost(await startTestHost(() => {}, suite, await bareHostImage(suite)));
    const into = join(bare.#host.share.outside, "release");
    await mkdir(into);
    for (const file of [`${NAME}.tar.xz`, `${NAME}.deb`, "SHA256SUMS", "SHA256SUMS.sig", "key.asc"]) {
      await copyFile(join(release, file), join(into, file));
    }
    await bare.run(`install -m 755 '${await nomadAgent()}' /usr/local/bin/nomad`);
    return bare;
  }

  /** Runs shell commands as an operator types them; returns what they print. */
  async run(text: string): Promise<string> {
    this.#steps += 1;
    const name = `step-${this.#steps}.sh`;
    await writeFile(join(this.#host.share.outside, "release", name), text);
    const { code, stdout, stderr } = await this.#host.exec(["sh", "-eu", name], { cwd: this.#directory });
    expect({ text, code, output: code === 0 ? "" : `${stdout}${stderr}` }).toEqual({ text, code: 0, output: "" });
    return stdout;
  }

  /** Runs shell commands likewise; returns what they print, with the commands, each line with its time. */
  async watch(text: string): Promise<readonly TimedLine[]> {
    const pieces: TimedLine[] = [];
    const decoder = new TextDecoder();
    // The shell's first line goes to another stream.
    const output = (bytes: Uint8Array, from: string) => {
      if (from !== "stdout") return;
      pieces.push({ at: performance.now() / 1000, text: decoder.decode(bytes, { stream: true }) });
    };
    this.#steps += 1;
    const name = `step-${this.#steps}.sh`;
    await writeFile(join(this.#host.share.outside, "release", name), `exec 2>&1\n${text}`);
    const { code } = await this.#host.exec(["sh", "-euv", name], { cwd: this.#directory, output });
    const printed = linesOf(pieces);
    const shown = printed.map((line) => line.text).join("\n");
    expect({ text, code, output: code === 0 ? "" : shown }).toEqual({ text, code: 0, output: "" });
    return printed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#host.stop();
  }
}

/** What came of following the page. */
interface Followed {
  readonly output: string;
  /** Until the job ran. */
  readonly seconds: number;
  readonly recorded: readonly Step[];
}

async function follow(host: BareHost, blocks: readonly Block[]): Promise<Followed> {
  const outputs: string[] = [];
  const recorded: Step[] = [];
  let [seconds, spent] = [0, 0];
  for (const { text, needs, section } of blocks) {
    const start = performance.now();
    // What the page downloads comes from the cache of test images; and a key is imported once, as the page says.
    if (needs === "internet") {
      expect(text).toContain(` ${IMAGE}\n`);
      await host.run(`cp --archive '${await debianImage()}' ${IMAGE}`);
      continue;
    }
    if (text.startsWith("gpg --verify")) await host.run("gpg --batch --quiet --import key.asc");
    const printed = await host.watch(text);
    outputs.push(...printed.map((line) => line.text));
    if (RECORDED.includes(section)) recorded.push(...stepsOf(text, printed));
    spent += performance.now() - start;
    if (text.includes("nomad job run")) seconds = spent / 1000;
  }
  return { output: outputs.join("\n"), seconds, recorded };
}

/** The recording shows this run's commands and results; scripts/recording.ts wants the run itself, to make another. */
async function compareRecording(steps: readonly Step[]): Promise<void> {
  const wanted = process.env["NSPAWN_RECORDING"];
  if (wanted !== undefined) return writeFile(wanted, JSON.stringify(steps));
  const shown = stepsIn(parseCast(await readFile(join(projectRoot, RECORDING.cast), "utf8")));
  expect(steps.map(steadyPart)).toEqual(shown.map(steadyPart));
}

describe.each(hostSuites)("on a bare %s", (suite) => {
  test.skipIf(!hasBareHost(suite))(
    "every command of the page succeeds, and the first job runs",
    async () => {
      await using host = await BareHost.boot(suite);
      const blocks = shellBlocks(await readFile(join(projectRoot, "docs/install.md"), "utf8"));
      expect(blocks.length).toBeGreaterThan(8);
      const { output, seconds, recorded } = await follow(host, blocks);
      expect(output).toContain(`${NAME}.tar.xz: OK`);
      expect(output).toMatch(/^systemd$/m);
      console.log(`${suite}: the first job ran ${seconds.toFixed(1)} s after the first command`);
      expect(seconds).toBeLessThan(LIMIT);
      if (suite === "trixie") await compareRecording(recorded);
      expect(await host.run("ls /opt/nomad/plugins /var/lib/nomad-driver-nspawn 2>&1 || :")).not.toContain("nspawn\n");
    },
    600_000,
  );
});

/** An agent with this plugin_dir, until the node has the driver; then the agent ends. */
const agentWith = (directory: string, label: string) => `
printf '%s\\n' 'disable_update_check = true' 'plugin_dir = "${directory}"' 'plugin "${label}" {' 'config { enabled = true }' '}' > agent.hcl
nomad agent -dev -config=agent.hcl > agent.log 2>&1 &
pid=$!
tries=0
until nomad node status -self -verbose | grep -E 'nspawn +true +true'; do
  tries=$((tries + 1)); [ $tries -lt 60 ] || { cat agent.log; exit 1; }
  sleep 1
done
kill $pid
wait $pid || :
`;

test.skipIf(!hasBareHost("trixie"))(
  "an agent finds what the package installed, also through a link to the directory",
  async () => {
    await using host = await BareHost.boot("trixie");
    await host.run(`apt-get install --yes ./${NAME}.deb`);
    await host.run("ln -s /opt/nomad/data/plugins /srv/plugins");
    // Not /usr/bin, where the executable is: Nomad starts every program of its plugin_dir.
    for (const directory of ["/opt/nomad/data/plugins", "/srv/plugins"]) {
      expect(await host.run(agentWith(directory, "nomad-driver-nspawn"))).toContain("nspawn");
    }
  },
  600_000,
);
