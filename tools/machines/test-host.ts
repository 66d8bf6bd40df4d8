/** A machine with a real systemd as PID 1 for tests, on any Linux as root: a container in its own namespaces. */

import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { attempt, type CommandOptions, type Finished, run } from "../command";
import { cacheDir } from "../images/cache";
import type { HostSuite } from "../images/host-tree";
import { hostImage } from "../images/images";
import { TEST_HOST_PREFIX } from "../leftovers";
import { inScope } from "../scope";
import { makeOwnCgroups, removeCgroups } from "./own-cgroups";
import type { InsideOptions, TestMachine } from "./test-machine";

/** Seconds a boot may take before the start counts as failed; it takes about two. */
const bootSeconds = 60;

/** A booted test host. */
export interface TestHost extends TestMachine {
  /** PID of its systemd, as this machine sees it. */
  readonly leader: number;
  /** A directory that both sides may write to. */
  readonly share: { readonly outside: string; readonly inside: string };
  /** Runs a command in the host's namespaces without its systemd, for inspection. */
  enter(argv: readonly string[], options?: CommandOptions): Promise<Finished>;
}

/**
 * Boots a test host. It contains the repository and the cache at the same paths, read-only, and `bun` is on the PATH.
 * It has its own network namespace with only a loopback interface, and dies with this process.
 *
 * @param suite the Debian suite it is made of, and with it the version of systemd
 * @param image its tree; by default the one with everything that tests need
 * @throws Error with the end of the console output if the boot fails
 */
export async function startTestHost(
  say: (line: string) => void = () => {},
  suite: HostSuite = "trixie",
  image?: string,
): Promise<TestHost> {
  const source = image ?? (await hostImage(say, suite));
  await using made = new AsyncDisposableStack();
  const directory = await mkdtemp("/var/tmp/nspawn-test-host-");
  made.defer(() => rm(directory, { recursive: true, force: true }));
  const tree = join(directory, "tree");
  const share = { outside: join(directory, "share"), inside: "/run/test-host" } as const;
  await run(["cp", "-a", "--reflink=auto", source, tree]);
  await mkdir(share.outside);
  await run(["mkfifo", join(share.outside, "ready")]);
  const name = `${TEST_HOST_PREFIX}${process.pid}-${crypto.randomUUID().slice(0, 8)}`;
  const cgroups = await makeOwnCgroups(name);
  made.defer(() => removeCgroups(cgroups));
  const { child, leader, state } = await boot({ tree, share, cgroups, name, suite });
  made.defer(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    // Its death ends every process of the host; systemd-nspawn notices, cleans up and exits.
    process.kill(leader, "SIGKILL");
    await child.exited;
  });
  await makeControllersWritable(leader);
  await makeNetworkSettingsWritable(leader);
  await makeLoopNodes(leader);
  const kept = made.move();
  const stop = () => kept.disposeAsync();
  return {
    leader,
    share,
    state,
    enter: (argv, options) => attempt([...nsenter(leader), ...argv], options),
    read: async (path) => {
      const { code, stdout } = await attempt([...nsenter(leader), "cat", path]);
      return code === 0 ? stdout : undefined;
    },
    exec: (argv, options = {}) =>
      attempt(
        [...nsenter(leader, `--wdns=${options.cwd ?? "/"}`), ...inScope(argv, options.env)],
        processSide(options),
      ),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

interface Boot {
  readonly tree: string;
  readonly share: TestHost["share"];
  readonly cgroups: readonly string[];
  readonly name: string;
  readonly suite: HostSuite;
}

/** systemd 258 and later start with cgroup v2 only; with this, systemd-nspawn gives a container v2 on any machine. */
const cgroupV2 = { SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: "1" };

/**
 * Joins the cgroups given as lines in $1 and hides systemd-nspawn's runtime directory behind one of this mount
 * namespace, so that even a killed systemd-nspawn leaves nothing; then becomes the rest of its arguments.
 */
const prepare = `
set -e
printf '%s\\n' "$1" | while read -r directory; do echo $$ > "$directory/cgroup.procs"; done
shift
mkdir -p /run/systemd/nspawn
mount -t tmpfs -o mode=755 tmpfs /run/systemd/nspawn
exec "$@"
`;

async function boot({ tree, share, cgroups, name, suite }: Boot) {
  const child = Bun.spawn(
    [
      ...["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--propagation", "private"],
      ...["/bin/sh", "-c", prepare, "sh", cgroups.join("\n")],
      ...["systemd-nspawn", "--quiet", `--directory=${tree}`, `--machine=${name}`, "--register=no", "--keep-unit"],
      ...["--boot", "--console=pipe", "--capability=all", "--system-call-filter=@keyring bpf add_key keyctl"],
      `--bind=${escapeBind(share.outside)}:${share.inside}`,
      `--bind-ro=${escapeBind(resolve(import.meta.dir, "../.."))}`,
      `--bind-ro=${escapeBind(cacheDir())}`,
      `--bind-ro=${escapeBind(process.execPath)}:/usr/local/bin/bun`,
    ],
    {
      env: { ...process.env, ...(suite === "sid" ? cgroupV2 : {}) },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    },
  );
  const consoleText = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  const ready = Bun.spawn(["head", "--lines=1", join(share.outside, "ready")], {
    stdout: "pipe",
    timeout: bootSeconds * 1000,
    killSignal: "SIGKILL",
  });
  try {
    const first = await Promise.race([new Response(ready.stdout).text(), child.exited]);
    if (typeof first === "string" && first !== "") {
      const children = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, "utf8");
      return { child, leader: Number.parseInt(children, 10), state: first.trim() };
    }
    child.kill("SIGKILL");
    await child.exited;
    const ended = typeof first === "number" ? `ended with exit code ${first}` : `was not up after ${bootSeconds} s`;
    throw new Error(`The test host ${ended}:\n${(await consoleText).join("").trim().slice(-4000)}`);
  } finally {
    ready.kill("SIGKILL");
    await ready.exited;
  }
}

/** systemd-nspawn mounts v1 controllers read-only; a Nomad agent inside writes to them. */
async function makeControllersWritable(leader: number): Promise<void> {
  const mounts = await readFile(`/proc/${leader}/mountinfo`, "utf8");
  for (const line of mounts.split("\n")) {
    const [, , , , mountPoint, options] = line.split(" ");
    if (mountPoint !== undefined && line.includes(" - cgroup ") && options?.split(",").includes("ro") === true) {
      await run([...nsenter(leader), "mount", "-o", "remount,bind,rw", mountPoint]);
    }
  }
}

/** systemd-nspawn mounts /proc/sys read-only; its net directory belongs to the test host, which has its own network. */
async function makeNetworkSettingsWritable(leader: number): Promise<void> {
  const directory = "/proc/sys/net";
  await run([...nsenter(leader), "mount", "--bind", directory, directory]);
  await run([...nsenter(leader), "mount", "-o", "remount,bind,rw", directory]);
}

function nsenter(leader: number, ...options: readonly string[]): string[] {
  return ["nsenter", `--target=${leader}`, "--all", ...options, "--"];
}

function processSide({ output, stdin }: InsideOptions): CommandOptions {
  return { ...(output === undefined ? {} : { output }), ...(stdin === undefined ? {} : { stdin }) };
}

/** As many loop devices as a machine has at first. */
const loopDevices = 8;

/**
 * Creates the nodes of loop devices, which image files need. Bind mounts of the machine's nodes do not work: systemd removes
 * devices after their use, and with them the machine's nodes.
 */
async function makeLoopNodes(leader: number): Promise<void> {
  const nodes = [["loop-control", "c", "10", "237"]];
  for (let number = 0; number < loopDevices; number += 1) nodes.push([`loop${number}`, "b", "7", String(number)]);
  for (const [name = "", ...numbers] of nodes) await run([...nsenter(leader), "mknod", `/dev/${name}`, ...numbers]);
}

/** A colon separates the parts of systemd-nspawn's bind arguments. */
function escapeBind(path: string): string {
  return path.replaceAll("\\", "\\\\").replaceAll(":", "\\:");
}
