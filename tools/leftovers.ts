/** What tests, the plugin or systemd-nspawn may leave behind on a machine, seen by comparing it before and after. */

import { existsSync } from "node:fs";
import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./command";
import { timeoutScale } from "./timeout-scale";

/** Traces by kind ("mount", "process" …), each as one line of text. */
export type HostState = ReadonlyMap<string, ReadonlySet<string>>;

/** How the names of test hosts and of their cgroups begin (test-host.ts). */
export const TEST_HOST_PREFIX = "test-host-";

/** Milliseconds that the kernel gets to remove a dead container's cgroups and interfaces; no event reports when it has. */
const settleTime = 5_000 * timeoutScale;

/** Records the state of the machine. */
export async function hostState(): Promise<HostState> {
  const kinds: Readonly<Record<string, () => Promise<string[]>>> = {
    unit: units,
    machine: () => namesIn("/run/systemd/machines"),
    mount: mounts,
    "loop device": loopDevices,
    process: processes,
    file: files,
    "network interface": interfaces,
    cgroup: cgroups,
    "packet filter rule": packetFilterRules,
  };
  const state = new Map<string, Set<string>>();
  for (const [kind, look] of Object.entries(kinds)) state.set(kind, new Set(await look()));
  return state;
}

/** Messages about traces that exist now and did not before; empty if none do. */
export function differences(before: HostState, after: HostState): string[] {
  const sentences: string[] = [];
  for (const [kind, found] of after) {
    for (const trace of found)
      if (before.get(kind)?.has(trace) !== true) sentences.push(`The ${kind} ${trace} was left.`);
  }
  return sentences;
}

/** Messages about traces that still exist, compared with `before`, after the kernel had time to clean up. */
export async function leftovers(before: HostState, patience: number = settleTime): Promise<string[]> {
  const deadline = performance.now() + patience;
  for (;;) {
    const left = differences(before, await hostState());
    if (left.length === 0 || performance.now() >= deadline) return left;
    await Bun.sleep(100);
  }
}

async function units(): Promise<string[]> {
  if (!existsSync("/run/systemd/system")) return [];
  const { stdout } = await run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "--full"]);
  return stdout
    .split("\n")
    .map((line) => line.trim().split(/\s+/)[0] ?? "")
    .filter((unit) => /^(nomad|machine-|nspawn|systemd-nspawn)/.test(unit));
}

/**
 * Mounts that come and go without the driver. systemd-nspawn on a host with both cgroup versions mounts v2 at /tmp/unifiedXXXXXX for a
 * moment; one that is killed in this moment leaves it, without anything that says which container it was for.
 */
const ofOthers =
  / on (\/run\/(credentials|user)\/|\/run\/netns$|\/proc\/sys\/fs\/binfmt_misc|\/tmp\/unified[A-Za-z0-9]{6}$)/;

async function mounts(): Promise<string[]> {
  const table = await readFile("/proc/self/mountinfo", "utf8");
  return table
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [, , , root, point] = line.split(" ");
      return `${root} on ${point}`;
    })
    .filter((line) => !ofOthers.test(line));
}

/**
 * Loop devices that stay after their last user. The others (autoclear) are gone with what uses them, a process or a mount, which is
 * reported itself. Test hosts share the kernel's devices: those that another test host uses at this moment are no leftovers here.
 */
async function loopDevices(): Promise<string[]> {
  const found: string[] = [];
  for (const device of await namesIn("/sys/block")) {
    const [backing, autoclear] = await Promise.all([
      readFile(`/sys/block/${device}/loop/backing_file`, "utf8").catch(gone),
      readFile(`/sys/block/${device}/loop/autoclear`, "utf8").catch(gone),
    ]);
    if (backing !== undefined && autoclear?.trim() === "0") found.push(`${device} of ${backing.trim()}`);
  }
  return found;
}

async function processes(): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await namesIn("/proc")).filter((name) => /^\d+$/.test(name))) {
    const [executable, stat, commandLine] = await Promise.all([
      readlink(`/proc/${pid}/exe`).catch(goneOrHidden),
      readFile(`/proc/${pid}/stat`, "utf8").catch(gone),
      readFile(`/proc/${pid}/cmdline`, "utf8").catch(gone),
    ]);
    if (executable === undefined || stat === undefined || commandLine === undefined) continue;
    const ours = /\/(systemd-nspawn|nomad-driver-nspawn|nomad)( \(deleted\))?$/.test(executable);
    // Only a virtual machine of the tests (vm.ts).
    const vm = /\/qemu-system-[^/]+$/.test(executable) && commandLine.includes("/nspawn-test-vm-");
    if (!ours && !vm) continue;
    const startTime = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    found.push(`${pid} (started at ${startTime}): ${commandLine.replaceAll("\0", " ").trim()}`);
  }
  return found;
}

/** Directories of the driver and systemd-nspawn, and the driver's names in shared directories. */
async function files(): Promise<string[]> {
  const found: string[] = [];
  const ours = ["/run/nomad-driver-nspawn", "/run/systemd/nspawn-uid", "/run/netns"];
  // An empty image store stays, as it does on a client.
  const store = ["containers", "images", "layers", "references", "tmp", "machine-images"].map(
    (name) => `/var/lib/nomad-driver-nspawn/${name}`,
  );
  const nspawn = ["locks", "propagate", "unix-export"].map((name) => `/run/systemd/nspawn/${name}`);
  for (const directory of [...ours, ...store, ...nspawn]) {
    for (const name of await namesIn(directory)) found.push(join(directory, name));
  }
  // systemd-nspawn 262 has a directory for each machine; the driver writes a settings file for each.
  for (const name of await namesIn("/run/systemd/nspawn")) {
    const machine = join("/run/systemd/nspawn", name);
    if (name.endsWith(".nspawn") || (await namesIn(machine)).includes("unix-export")) found.push(machine);
  }
  const shared = /^(nomad-driver-nspawn|nspawn-|alloc-|plugin-sockets-|log-pipe-|agent-|\.#)/;
  for (const directory of ["/tmp", "/var/tmp", "/var/lib/machines"]) {
    for (const name of await namesIn(directory)) if (shared.test(name)) found.push(join(directory, name));
  }
  return found;
}

async function interfaces(): Promise<string[]> {
  const table = await readFile("/proc/net/dev", "utf8");
  return table
    .split("\n")
    .slice(2)
    .map((line) => line.split(":")[0]?.trim() ?? "")
    .filter((name) => name !== "");
}

async function packetFilterRules(): Promise<string[]> {
  // Without nft (in the virtual machine) the driver cannot create rules.
  if (Bun.which("nft") === null) return [];
  const { stdout } = await run(["nft", "list", "ruleset"]);
  return stdout.split("\n").filter((line) => line.trim() !== "" && line.trim() !== "}");
}

async function cgroups(): Promise<string[]> {
  const found: string[] = [];
  const visit = async (directory: string) => {
    const entries = await readdir(directory, { withFileTypes: true }).catch(gone);
    for (const entry of entries ?? []) {
      // A test host, which runs at the same time: its cgroups are not those of this machine's tests.
      if (!entry.isDirectory() || entry.name.startsWith(TEST_HOST_PREFIX)) continue;
      const path = join(directory, entry.name);
      if (/nspawn|^nomad-|^machine-|^payload$|^supervisor$/.test(entry.name)) found.push(path);
      await visit(path);
    }
  };
  await visit("/sys/fs/cgroup");
  return found;
}

async function namesIn(directory: string): Promise<string[]> {
  return (await readdir(directory).catch(gone)) ?? [];
}

/** Security modules may forbid even root to read a process's executable; those processes are not the driver's. */
function goneOrHidden(error: NodeJS.ErrnoException): undefined {
  return error.code === "EACCES" || error.code === "EPERM" ? undefined : gone(error);
}

/** A file may disappear before it is read; every other failure is an error. */
function gone(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT" || error.code === "ESRCH" || error.code === "ENODEV" || error.code === "ENOTDIR") return;
  throw error;
}
