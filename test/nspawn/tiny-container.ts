import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { encode } from "@msgpack/msgpack";
import { decodeTaskConfig } from "../../src/config/task/decode";
import { nspawnArguments } from "../../src/nspawn/arguments";
import { settingsFilePath, type TaskEnvironment } from "../../src/nspawn/environment";
import { parseEnvironmentFile } from "../../src/nspawn/environment-file";
import { type Features, featuresOf, parseNspawnVersion } from "../../src/nspawn/features";
import { cgroupHierarchies } from "../../tools/machines/own-cgroups";
import { plannedMounts } from "../support/planned-mounts";

/** A root with a single program, this machine's /bin/cat, run by the real systemd-nspawn. */
export interface TinyContainer {
  readonly features: Features;
  /** Runs `cat PATH…` in the container and returns what it printed. */
  cat(paths: readonly string[], given?: Given): Promise<Uint8Array>;
  /** Makes the root bootable, with the same program as its init. */
  addInit(): Promise<void>;
  remove(): Promise<void>;
}

/** Further parameters of a run. */
export interface Given {
  readonly environment?: TaskEnvironment;
  /** Variables of systemd-nspawn itself. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Longest time one run may take. */
const TIMEOUT_MS = 30_000;

/** Printed at every exit if /run is not a tmpfs, as in a container that these tests may run in; remove() cleans up instead. */
const DISK_RUN = "Attempted to remove disk file system under";

/** Builds the root and finds the installed version; fails where systemd-nspawn is missing. */
export async function tinyContainer(name: string): Promise<TinyContainer> {
  const version = parseNspawnVersion(await output(["systemd-nspawn", "--version"]));
  if (version === undefined) throw new Error("systemd-nspawn --version names no version");
  const features = featuresOf(version);
  const root = await mkdtemp(join(tmpdir(), `${name}-`));
  const machine = `${name}-${process.pid}`;
  await mkdir(join(root, "usr"));
  const libraries = (await output(["ldd", "/bin/cat"])).match(/\/\S+/g) ?? [];
  for (const file of ["/bin/cat", ...libraries]) {
    await mkdir(join(root, dirname(file)), { recursive: true });
    await copyFile(file, join(root, file));
  }
  const removeCgroups = await ownCgroupsOfNspawn();
  const remove = async () => {
    await removeCgroups();
    await rm(settingsFilePath(machine), { force: true });
    for (const name of [`propagate/${machine}`, `unix-export/${machine}`, machine]) {
      await rm(`/run/systemd/nspawn/${name}`, { recursive: true, force: true });
    }
    await rm(root, { recursive: true, force: true });
  };
  const cat = async (paths: readonly string[], given: Given = {}) => {
    const base = { image: root, boot: false, user_namespacing: false, network_veth: false, resolv_conf: "off" };
    const options = decodeTaskConfig(encode({ ...base, command: ["/bin/cat", ...paths], ...given.config }));
    const args = nspawnArguments({
      options,
      features,
      machine,
      image: { kind: "directory", path: root },
      mounts: plannedMounts(options),
      register: false,
      network: "config",
      environment: given.environment?.arguments ?? [],
    });
    await mkdir(dirname(settingsFilePath(machine)), { recursive: true });
    await writeFile(settingsFilePath(machine), given.environment?.settingsFile ?? "[Exec]\n", { mode: 0o600 });
    try {
      const own = parseEnvironmentFile(given.environment?.environmentFile ?? "");
      return await run(["systemd-nspawn", ...args], {
        PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
        ...given.variables,
        ...own,
      });
    } finally {
      await rm(settingsFilePath(machine), { force: true });
    }
  };
  const addInit = async () => {
    await mkdir(join(root, "sbin"), { recursive: true });
    await copyFile("/bin/cat", join(root, "sbin/init"));
    await mkdir(join(root, "etc"), { recursive: true });
    await writeFile(join(root, "etc/os-release"), "ID=tiny\n");
  };
  return { features, cat, addInit, remove };
}

/**
 * With --keep-unit systemd-nspawn makes the cgroups "payload" and "supervisor" in the one that it was started in, which is this
 * process's own, and leaves them. Returns what removes those that were not there before.
 */
async function ownCgroupsOfNspawn(): Promise<() => Promise<void>> {
  const [mounts, membership] = await Promise.all([
    readFile("/proc/self/mountinfo", "utf8"),
    readFile("/proc/self/cgroup", "utf8"),
  ]);
  const paths = cgroupHierarchies(mounts, membership).flatMap(({ own }) => [
    join(own, "payload"),
    join(own, "supervisor"),
  ]);
  const missing = paths.filter((path) => !existsSync(path));
  return async () => {
    for (const path of missing) if (existsSync(path)) await rmdir(path);
  };
}

async function run(command: string[], env: Record<string, string>): Promise<Uint8Array> {
  const child = Bun.spawn(command, { env, stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: TIMEOUT_MS });
  const [stdout, stderr, code] = await Promise.all([child.stdout.bytes(), child.stderr.text(), child.exited]);
  // systemd-nspawn only warns about a settings file line that it rejects, and the variable would be missing.
  const said = stderr.split("\n").filter((line) => line !== "" && !line.startsWith(DISK_RUN));
  if (code !== 0 || said.length > 0) throw new Error(`systemd-nspawn ended with ${code}: ${said.join("\n")}`);
  return stdout;
}

async function output(command: string[]): Promise<string> {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "inherit", timeout: TIMEOUT_MS });
  return child.stdout.text();
}
