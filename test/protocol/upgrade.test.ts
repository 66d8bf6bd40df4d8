/**
 * Tasks that one version of the driver has started are recovered, used, stopped and removed by another one: by this one after those of
 * earlier releases, and by the release before after this one, as after a rollback (docs/support.md). With both supervisors.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encode } from "@msgpack/msgpack";
import { type TaskHandle, TaskState } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { newOptions } from "../../src/config/since";
import { becomesTrue } from "../../src/lib/deadline";
import { decodeMsgpack } from "../../src/lib/msgpack";
import { isRecord } from "../../src/lib/objects";
import { previousDriver, releases } from "../../tools/build/previous";
import { driverBinary } from "../../tools/build/project";
import { run } from "../../tools/command";
import { busyboxImage, debianImage } from "../../tools/images/images";
import { type HostState, hostState, leftovers } from "../../tools/leftovers";
import { timeoutScale } from "../../tools/timeout-scale";
import { DriverClient } from "../support/driver-client";
import { startExec } from "../support/exec";
import { archiveOf, writeImage } from "../support/oci-image";
import { startPlugin } from "../support/plugin-process";
import { megabytes, type PreparedTask, prepareTask, type TaskSpec } from "../support/task";
import { failure, shell } from "./fixture";

let before: HostState;
let top = "";
let busybox = "";
let debian = "";
let stored = "";
beforeAll(async () => {
  before = await hostState();
  top = await mkdtemp(join(tmpdir(), "upgrade-"));
  busybox = await busyboxImage();
  debian = await debianImage();
  stored = await writeImage(top, "image", [{ archive: await archiveOf(busybox) }]);
});
afterAll(async () => {
  await rm(top, { recursive: true, force: true });
  expect(await leftovers(before)).toEqual([]);
}, 60_000);

/** A plugin of a version with its client; the plugin is killed at the end, as by an upgrade that goes wrong. */
async function opened(binary: string) {
  const plugin = await startPlugin({ binary });
  const client = new DriverClient(plugin.socket);
  await client.setConfig({ image_store: join(top, "store") });
  const close = async () => {
    client.close();
    await plugin[Symbol.asyncDispose]();
  };
  return { plugin, client, [Symbol.asyncDispose]: close };
}

const PORT = 20_061;
const WAIT = "echo up; trap 'echo signalled; exit 7' TERM; while :; do sleep 0.1; done";
const SERVE = `while :; do echo answer | nc -l -p 80 >/dev/null 2>&1; done & ${WAIT}`;
const ports = { ports: [{ label: "port0", value: PORT, to: 80, hostIp: "" }] };

/** A kind of tasks. */
interface Kind {
  readonly name: string;
  readonly spec: TaskSpec;
  readonly up: string;
  readonly code: number;
}

/** Tasks of each kind, what their logs say when they are up, and their exit code when they are stopped. */
const kinds = (): readonly Kind[] => [
  { name: "directory", spec: shell(busybox, WAIT, { user_namespacing: false }), up: "up", code: 7 },
  { name: "mapped", spec: shell(busybox, WAIT), up: "up", code: 7 },
  {
    name: "image",
    spec: { config: { image: stored, boot: false, network_veth: false, command: ["/bin/sh", "-c", WAIT] } },
    up: "up",
    code: 7,
  },
  {
    name: "network",
    spec: { ...shell(busybox, SERVE, { network_veth: true, ports: ["port0"] }), resources: ports },
    up: "up",
    code: 7,
  },
  {
    name: "booted",
    spec: { config: { image: debian, network_veth: false, volatile: "overlay" }, resources: megabytes(512) },
    up: "Multi-User",
    code: 0,
  },
];

/** What a task with a port sends. */
function answer(): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect({ host: "127.0.0.1", port: PORT, timeout: 5000 });
    socket.on("data", (data) => {
      text += String(data);
      socket.destroy();
    });
    socket.on("timeout", () => socket.destroy());
    socket.on("error", (error) => resolve(error.message));
    socket.on("close", () => resolve(text.trim()));
  });
}

/** A handle as an agent sends it that was restarted: without the job's config block. */
function restored(handle: TaskHandle): TaskHandle {
  const { config } = handle;
  return config === undefined ? handle : { ...handle, config: { ...config, msgpackDriverConfig: new Uint8Array() } };
}

type Pair = readonly [from: string, to: string];
const versions: readonly Pair[] = [
  ...releases.map((release): Pair => [release, "this version"]),
  ...releases.slice(-1).map((release): Pair => ["this version", release]),
];
const binaryOf = (version: string): Promise<string> => {
  const release = releases.find((each) => each === version);
  return release === undefined ? Promise.resolve(driverBinary()) : previousDriver(release);
};

/** Uses and ends a recovered task. */
async function useUp(client: DriverClient, { task, code }: { task: PreparedTask; code: number }, name: string) {
  expect({ name, state: (await client.inspectTask(task.id)).task?.state }).toEqual({ name, state: TaskState.RUNNING });
  const { ended } = await startExec(client, task.id, ["/bin/sh", "-c", "echo inside"]);
  expect({ name, ...(await ended) }).toMatchObject({ name, stdout: "inside\n" });
  if (name === "network") {
    // Its server listens anew after each connection.
    const answers = async () => (await answer()) === "answer";
    expect(await becomesTrue(answers, { firstMs: 50, longestMs: 200, timeoutMs: 20_000 })).toBe(true);
  }
  await client.stopTask(task.id, { timeout: 30_000 * timeoutScale });
  const { result } = await client.waitTask(task.id);
  expect({ name, result }).toMatchObject({ name, result: { exitCode: code, signal: 0 } });
  await client.destroyTask(task.id);
}

test.each(versions)(
  "tasks of %s are recovered, used, stopped and removed by %s",
  async (from, to) => {
    const started: { name: string; task: PreparedTask; code: number; handle: TaskHandle }[] = [];
    await using tasks = new AsyncDisposableStack();
    {
      await using old = await opened(await binaryOf(from));
      const start = async ({ name, spec, up, code }: Kind) => {
        const task = tasks.use(await prepareTask({ allocRoot: join(top, "allocations"), name, ...spec }));
        const { handle } = await old.client.startTask(task.config);
        if (handle === undefined) throw new Error("StartTask gave no handle.");
        started.push({ name, task, code, handle });
        await task.stdout.waitFor(up, 60_000 * timeoutScale);
      };
      await Promise.all(kinds().map(start));
    }
    await using later = await opened(await binaryOf(to));
    for (const { handle } of started) await later.client.recoverTask(restored(handle));
    await Promise.all(started.map((each) => useUp(later.client, each, each.name)));
  },
  180_000,
);

describe("what a later version may write", () => {
  test("records with further fields and of a later version do not disturb a task", async () => {
    await using tasks = new AsyncDisposableStack();
    const network = kinds().find(({ name }) => name === "network");
    if (network === undefined) throw new Error("no such kind");
    const task = tasks.use(await prepareTask({ allocRoot: join(top, "allocations"), ...network.spec }));
    let handle: TaskHandle | undefined;
    let machine = "";
    {
      await using old = await opened(driverBinary());
      handle = (await old.client.startTask(task.config)).handle;
      machine = (await old.client.inspectTask(task.id)).driver?.attributes["machine"] ?? "";
      await task.stdout.waitFor("up");
    }
    const files = join("/run/nomad-driver-nspawn/files", machine);
    await writeFile(join(files, "task.json"), JSON.stringify({ version: 2, renamed: true }));
    await writeFile(join(files, "later"), "of a later version");
    const record = join("/run/nomad-driver-nspawn/network", `${machine}.json`);
    const text = await readFile(record, "utf8");
    await writeFile(record, text.replace(/\}$/, ',"later":{"field":1}}'));
    await using next = await opened(driverBinary());
    if (handle === undefined) throw new Error("StartTask gave no handle.");
    await next.client.recoverTask(restored(handle));
    await useUp(next.client, { task, code: 7 }, "network");
  });

  test("a handle of a later version is refused with a sentence, and its container keeps running", async () => {
    await using tasks = new AsyncDisposableStack();
    const task = tasks.use(await prepareTask({ allocRoot: join(top, "allocations"), ...shell(busybox, WAIT) }));
    let handle: TaskHandle | undefined;
    let pid = 0;
    {
      await using old = await opened(driverBinary());
      handle = (await old.client.startTask(task.config)).handle;
      await task.stdout.waitFor("up");
      pid = Number((await old.client.inspectTask(task.id)).driver?.attributes["pid"]);
    }
    if (handle === undefined) throw new Error("StartTask gave no handle.");
    await using next = await opened(driverBinary());
    const state = decodeMsgpack(handle.driverState, "number");
    if (!isRecord(state)) throw new Error("driver_state is not a map");
    const later: TaskHandle = { ...handle, driverState: encode({ ...state, version: 2 }) };
    expect(await failure(next.client.recoverTask(later))).toContain("or a newer version");
    expect(process.kill(pid, 0)).toBe(true);
    // A field that a later version has added is no reason.
    await next.client.recoverTask({ ...handle, driverState: encode({ ...state, later: true }) });
    await useUp(next.client, { task, code: 7 }, "directory");
  });
});

test.each(["task", "plugin"] as const)("the reference has the release of each option of a %s", async (of) => {
  const known = new Set<string>();
  for (const [release, added] of newOptions(of)) {
    const found = releases.find((each) => each === release);
    if (found === undefined) throw new Error(`No release ${release}.`);
    const { stdout } = await run([await previousDriver(found), "schema", of]);
    for (const name of added) known.add(name);
    const properties: unknown = JSON.parse(stdout).properties;
    expect(isRecord(properties) ? Object.keys(properties).toSorted() : []).toEqual([...known].toSorted());
  }
  expect([...newOptions(of).keys()]).toEqual([...releases]);
});
