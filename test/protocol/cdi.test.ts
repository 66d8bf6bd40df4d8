/** Devices of the Container Device Interface, by specifications of the host. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { debianImage } from "../../tools/images/images";
import { watchEvents } from "../support/event-watch";
import { exec } from "../support/exec";
import { type Fixture, shell, useFixture } from "./fixture";
import { inside, sentence } from "./inside";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

const VENDOR = "/etc/cdi/nomad-test.json";
const NVIDIA = "/var/run/cdi/nomad-test.yaml";
beforeAll(async () => {
  // As drivers' libraries: by its full name, without the links that programs look for; no container has this one.
  const [library = ""] = await Array.fromAsync(new Bun.Glob("/usr/lib/*/libjansson.so.4.*").scan("/"));
  const spec = {
    cdiVersion: "0.6.0",
    kind: "nomad.test/device",
    devices: [
      {
        name: "fuse",
        containerEdits: {
          deviceNodes: [
            { path: "/dev/vendor", hostPath: "/dev/zero" },
            { path: "/dev/empty", hostPath: "/dev/null", permissions: "r" },
          ],
          env: ["CDI_DEVICE=fuse"],
          additionalGids: [44],
        },
      },
      {
        name: "library",
        containerEdits: {
          mounts: [{ hostPath: library, containerPath: `/usr/lib/${basename(library)}`, options: ["ro"] }],
          deviceNodes: [{ path: "/dev/dri/card0", hostPath: "/dev/null" }],
        },
      },
      {
        name: "hooks",
        containerEdits: {
          mounts: [{ hostPath: library, containerPath: `/usr/lib/${basename(library)}`, options: ["ro"] }],
          hooks: [
            nvidiaHook("create-symlinks", "--link", "libjansson.so.4::/usr/lib/libjansson.so"),
            nvidiaHook("create-symlinks", "--link", "../libjansson.so::/usr/lib/driver/vendor.so"),
            nvidiaHook("update-ldcache", "--folder", "/usr/lib"),
          ],
        },
      },
      { name: "gone", containerEdits: { deviceNodes: [{ path: "/dev/no-such" }] } },
    ],
    containerEdits: {
      mounts: [
        { hostPath: "/usr/lib/os-release", containerPath: "/usr/lib/vendor", options: ["ro", "nosuid", "bind"] },
      ],
      hooks: [{ hookName: "createContainer", path: "/usr/bin/vendor-hook" }],
    },
  };
  for (const directory of ["/etc/cdi", "/var/run/cdi"]) await mkdir(directory, { recursive: true });
  await writeFile(VENDOR, JSON.stringify(spec), { mode: 0o644 });
  const yaml = [
    "---",
    "cdiVersion: 0.5.0",
    "kind: nvidia.com/gpu",
    "devices:",
    "- name: GPU-1a",
    "  containerEdits:",
    "    deviceNodes:",
    "    - path: /dev/nvidia0",
    "      hostPath: /dev/zero",
  ];
  await writeFile(NVIDIA, yaml.join("\n"), { mode: 0o644 });
});
afterAll(async () => {
  for (const path of [VENDOR, NVIDIA]) await rm(path, { force: true });
});

/** A hook as nvidia-ctk writes it; no program of that name is here. */
function nvidiaHook(...words: readonly string[]) {
  return { hookName: "createContainer", path: "/usr/bin/nvidia-cdi-hook", args: ["nvidia-cdi-hook", ...words] };
}

const fuse = { cdi_devices: ["nomad.test/device=fuse"] };

test("nodes, mounts, variables and groups of a specification", async () => {
  const script =
    "ls /dev/vendor /dev/empty; cat /dev/empty; echo $CDI_DEVICE; grep -c ^ID= /usr/lib/vendor; touch /usr/lib/vendor 2>/dev/null || echo read-only; id -G";
  expect(await inside(bench, script, { ...fuse, user: "1000" })).toBe(
    "/dev/empty\n/dev/vendor\nfuse\n1\nread-only\n1000 44\n",
  );
});

test("what is not done is said by an event", async () => {
  await using events = watchEvents(bench.client());
  await bench.started(shell(bench.busybox, "true", fuse));
  await events.waitFor("has hooks, which the driver does not run: createContainer /usr/bin/vendor-hook");
});

test("what NVIDIA's hooks would make is there: libraries by their own names, and links to them, also in a root that is read-only", async () => {
  const names =
    "cd /usr/lib; for n in libjansson.so.4 libjansson.so driver/vendor.so; do head -c 4 $n | tail -c 3; echo; done";
  const config = { cdi_devices: ["nomad.test/device=hooks"], image: await debianImage() };
  expect(await inside(bench, names, config)).toBe("ELF\nELF\nELF\n");
  expect(await inside(bench, names, { ...config, volatile: "no", read_only: true })).toBe("ELF\nELF\nELF\n");
});

test("without hooks ldconfig makes the links of libraries; directories of nodes are open to all users", async () => {
  const find = "ls /usr/lib/libjansson.so.4 2>/dev/null || echo missing";
  const script = `${find}; ldconfig; ${find}; ldconfig -p | grep -c libjansson.so.4; stat -c %a /dev/dri`;
  const config = { cdi_devices: ["nomad.test/device=library"], image: await debianImage() };
  expect(await inside(bench, script, config)).toBe("missing\n/usr/lib/libjansson.so.4\n1\n755\n");
});

test("a command in the container has the variables too, also after a restart of the plugin", async () => {
  const task = await bench.task(shell(bench.busybox, "sleep 1000", fuse));
  const handle = await bench.start(task);
  const variable = async () => (await exec(bench.client(), task.id, "echo $CDI_DEVICE")).stdout;
  expect(await variable()).toBe("fuse\n");
  await bench.replacePlugin();
  await bench.client().recoverTask(handle);
  expect(await variable()).toBe("fuse\n");
  await bench.client().destroyTask(task.id, true);
});

test("the GPUs that Nomad's nvidia plugin assigns by a variable", async () => {
  const spec = { deviceEnv: { NVIDIA_VISIBLE_DEVICES: "GPU-1a" } };
  const script = "head -c 3 /dev/nvidia0 | wc -c; echo $NVIDIA_VISIBLE_DEVICES";
  expect(await inside(bench, script, {}, spec)).toBe("3\nGPU-1a\n");
});

test("a job's own variable assigns no GPU", async () => {
  const script = "ls /dev/nvidia0 2>/dev/null || echo none";
  expect(await inside(bench, script, { environment: { NVIDIA_VISIBLE_DEVICES: "GPU-1a" } })).toBe("none\n");
});

test.each([
  ["nomad.test/device=other", 'Option cdi_devices names "nomad.test/device=other", which is in no specification'],
  ["nomad.test/device=gone", 'The CDI device nomad.test/device=gone asks for "/dev/no-such", which does not exist'],
  ["fuse", "it must be the name of a CDI device"],
])("%s is refused", async (name, expected) => {
  const task = await bench.task(shell(bench.busybox, "true", { cdi_devices: [name] }));
  expect(await sentence(bench.start(task))).toContain(expected);
});

test("a path is mounted once", async () => {
  const task = await bench.task(shell(bench.busybox, "true", { ...fuse, devices: ["/dev/null:/dev/vendor"] }));
  expect(await sentence(bench.start(task))).toContain('both mount something at "/dev/vendor"');
});
