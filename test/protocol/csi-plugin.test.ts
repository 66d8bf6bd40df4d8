import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Fixture, failure, shell, useFixture } from "./fixture";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

/** The mounts that an agent adds to a task with a csi_plugin block (Nomad 1.6.1, plugin_supervisor_hook.go). */
async function pluginMounts(type: string) {
  const state = join(bench.scratch, "client");
  const socket = join(state, "csi/plugins", crypto.randomUUID());
  const staging = join(state, "csi", type, "id");
  for (const directory of [socket, staging]) await mkdir(directory, { recursive: true, mode: 0o700 });
  const mounts = [
    { taskPath: "/csi", hostPath: socket, propagationMode: "bidirectional" },
    { taskPath: "/local/csi", hostPath: staging, propagationMode: "bidirectional" },
    { taskPath: "/dev", hostPath: "/dev" },
  ];
  return { mounts, socket };
}

test("a controller's socket directory is the host's, and its /dev its own", async () => {
  const { mounts, socket } = await pluginMounts("controller");
  const script = "touch /csi/csi.sock /local/csi/x && test -c /dev/null && ls -d /dev/pts && echo up";
  const end = await bench.finished({ ...shell(bench.busybox, script), mounts });
  expect(end).toMatchObject({ code: 0, stdout: "/dev/pts\nup\n" });
  expect(existsSync(join(socket, "csi.sock"))).toBe(true);
});

test("a node plugin is refused with the reason", async () => {
  const { mounts } = await pluginMounts("node");
  const task = await bench.task({ ...shell(bench.busybox, "true"), mounts });
  expect(await failure(bench.client().startTask(task.config))).toContain(
    'A csi_plugin of type "node" cannot run with this driver: it mounts volumes for the host',
  );
});
