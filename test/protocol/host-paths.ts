/** Host directories and devices that tests mount into containers; all of them are removed with the scratch directory they were made in. */

import { afterAll, beforeAll } from "bun:test";
import { chmod, chown, lstat, mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { readCgroupLayout } from "../../src/linux/cgroup/layout";
import { attempt, run } from "../../tools/command";
import type { PreparedTask, TaskSpec } from "../support/task";
import type { Fixture } from "./fixture";
import { underSystemd } from "./inside";

/** A directory on a disk, because device nodes do not work on a tmpfs such as /tmp. */
export interface HostPaths extends AsyncDisposable {
  readonly directory: string;
  /** Makes a directory, with its owner (0) and mode (0755). */
  folder(name: string, owner?: number, mode?: number): Promise<string>;
  /** Mounts a new file system of a type at a directory, which is created if missing. */
  mount(type: "tmpfs" | "ramfs", directory: string): Promise<string>;
  /** Makes a node of a character device. */
  node(path: string, numbers: readonly [major: number, minor: number], mode?: number): Promise<string>;
}

/** Creates an empty scratch directory for a test. */
async function openHostPaths(): Promise<HostPaths> {
  const stack = new AsyncDisposableStack();
  const directory = await mkdtemp("/var/tmp/places-");
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  return {
    directory,
    folder: async (name, owner = 0, mode = 0o755) => {
      const path = join(directory, name);
      await mkdir(path, { recursive: true });
      await chown(path, owner, owner);
      await chmod(path, mode);
      return path;
    },
    mount: async (type, path) => {
      await mkdir(path, { recursive: true });
      await run(["mount", "-t", type, type, path]);
      stack.defer(async () => {
        await run(["umount", "--lazy", path]);
      });
      return path;
    },
    node: async (path, [major, minor], mode = 0o666) => {
      await run(["mknod", `--mode=${mode.toString(8)}`, path, "c", String(major), String(minor)]);
      return path;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/**
 * Whether this machine limits the devices a container opens. The driver's own supervisor does it by a v1 devices controller or
 * by BPF in a v2 tree; so does systemd, but a systemd that itself runs in a container next to v1 controllers accepts the setting
 * without effect. This is therefore tested, without the driver.
 *
 * @param node a device that a container may open only if the job names it
 */
export async function confinesDevices(node: string): Promise<boolean> {
  if (!underSystemd) {
    const { legacy, unified } = readCgroupLayout();
    return legacy.has("devices") || unified !== undefined;
  }
  const look = ["/bin/sh", "-c", `: > ${node}`];
  const { code } = await attempt([
    "systemd-run",
    "--wait",
    "--quiet",
    "--collect",
    "--property=DevicePolicy=closed",
    ...look,
  ]);
  return code !== 0;
}

/** "UID:GID MODE" of a file on the host. */
export async function owner(path: string): Promise<string> {
  const { uid, gid, mode } = await lstat(path);
  return `${uid}:${gid} ${(mode & 0o7777).toString(8)}`;
}

/** The result of a task that has exited. */
export interface Went {
  readonly task: PreparedTask;
  readonly code: number;
  readonly signal: number;
  /** The error of its exit, or "". */
  readonly err: string;
  readonly stdout: string;
  readonly stderr: string;
  /** Texts of its events. */
  readonly events: readonly string[];
}

/**
 * Runs a task to its end; its directories stay until the fixture goes.
 *
 * @param prepare fills its directories before the start
 */
export async function runTask(
  bench: Fixture,
  spec: TaskSpec,
  prepare: (task: PreparedTask) => Promise<unknown> = async () => {},
): Promise<Went> {
  const task = await bench.task(spec);
  await prepare(task);
  const stop = new AbortController();
  const stream = bench.client().taskEvents({ signal: stop.signal });
  const events: string[] = [];
  const collected = (async () => {
    for await (const { taskId, message } of stream) if (taskId === task.id) events.push(message);
  })().catch(() => {});
  try {
    await bench.start(task);
    const { result, err } = await bench.client().waitTask(task.id);
    await bench.client().destroyTask(task.id);
    const [stdout, stderr] = await Promise.all([task.stdout.ended(), task.stderr.ended()]);
    return { task, code: result?.exitCode ?? -1, signal: result?.signal ?? 0, err, stdout, stderr, events };
  } finally {
    stop.abort();
    await collected;
  }
}

/**
 * Creates places for the tests of a file, and removes them after the tests. Call it before useFixture(): some places are mounted
 * in tasks' directories, which are removed with the fixture.
 */
export function useHostPaths(use: (places: HostPaths) => void): void {
  let places: HostPaths;
  beforeAll(async () => {
    places = await openHostPaths();
    use(places);
  });
  afterAll(() => places[Symbol.asyncDispose](), 60_000);
}
