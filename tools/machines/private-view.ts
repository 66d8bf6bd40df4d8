/**
 * This machine for tests that run beside test hosts and virtual machines: its kernel and its files, but separate processes, mounts,
 * temporary directories and network, so that such a test neither sees the others nor disturbs them.
 */

import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { projectRoot } from "../build/project";
import { attempt, run } from "../command";
import { cacheDir } from "../images/cache";
import type { TestMachine } from "./test-machine";

/** Temporary directories that are empty in the view. On a disk, because a tmpfs may not support an overlay's upper directory. */
const temporary = ["/tmp", "/var/tmp"] as const;

/** What tests need of the machine, wherever it is. */
const needed = () => [projectRoot, dirname(process.execPath), cacheDir()];

/** Mounts what $@ lists as pairs of source and target and stays, as PID 1 of the view: the shell reaps orphans while it waits. */
const prepare = `
set -e
ip link set lo up
while [ $# -gt 0 ]; do mount --rbind "$1" "$2"; shift 2; done
echo ready
sleep infinity
exit 1
`;

/** Makes the temporary directories of a view below a directory; returns pairs of source and target of the mounts, in order. */
async function temporaryMounts(directory: string): Promise<string[]> {
  const mounts: string[] = [];
  for (const target of temporary) {
    const source = join(directory, target.replaceAll("/", "-").slice(1));
    await mkdir(source);
    // As in every /tmp.
    await run(["chmod", "1777", source]);
    for (const path of needed().filter((each) => each.startsWith(`${target}/`))) {
      const inside = join(source, relative(target, path));
      await mkdir(inside, { recursive: true });
      mounts.push(path, inside);
    }
    mounts.push(source, target);
  }
  return mounts;
}

/**
 * Opens a view. It has a network namespace with only a loopback interface: no test can reach the internet, or change the machine's
 * network. It ends with this process.
 *
 * @throws Error with the output of the commands that prepare it, if one fails
 */
export async function openPrivateView(): Promise<TestMachine> {
  await using made = new AsyncDisposableStack();
  const directory = await mkdtemp("/var/tmp/nspawn-test-view-");
  made.defer(() => rm(directory, { recursive: true, force: true }));
  const mounts = await temporaryMounts(directory);
  const child = Bun.spawn(
    [
      ...["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--propagation", "private"],
      ...["--pid", "--fork", "--kill-child", "--mount-proc", "/bin/sh", "-c", prepare, "sh", ...mounts],
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  );
  made.defer(async () => {
    // The view's PID 1 dies with it, and with that every process of the view.
    child.kill("SIGKILL");
    await child.exited;
  });
  const complaints = new Response(child.stderr).text();
  const first = await child.stdout.getReader().read();
  if (first.done)
    throw new Error(`The view of this machine ended with exit code ${await child.exited}:\n${await complaints}`);
  const leader = Number.parseInt(await readFile(`/proc/${child.pid}/task/${child.pid}/children`, "utf8"), 10);
  const enter = ["nsenter", `--target=${leader}`, "--net", "--mount", "--pid"];
  const kept = made.move();
  const stop = () => kept.disposeAsync();
  return {
    share: { inside: "/tmp" },
    state: "running",
    exec: (argv, { cwd, env, output, stdin } = {}) =>
      attempt([...enter, `--wdns=${cwd ?? "/"}`, "--", ...withThisBun(argv)], {
        env: { ...process.env, ...env },
        ...(output === undefined ? {} : { output }),
        ...(stdin === undefined ? {} : { stdin }),
      }),
    read: async (path) => {
      const { code, stdout } = await attempt([...enter, "--", "cat", path]);
      return code === 0 ? stdout : undefined;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** As in the other machines, `bun` is the bun that runs this, under whatever name it was started. */
function withThisBun([program = "", ...rest]: readonly string[]): string[] {
  return [program === "bun" ? process.execPath : program, ...rest];
}
