import { expect, test } from "bun:test";
import type { CdiFile } from "../cdi/read";
import { parseCdiSpec } from "../cdi/spec";
import { assignedGpus, plannedCdi } from "./cdi";

const file = (spec: object): CdiFile => ({
  path: "/etc/cdi/x.json",
  priority: 0,
  spec: parseCdiSpec(JSON.stringify({ cdiVersion: "0.6.0", ...spec }), "json"),
});
const nodes = [{ path: "/dev/null" }, { path: "/dev/in", hostPath: "/dev/zero", permissions: "r" }];
const vendor = file({
  kind: "v.com/c",
  devices: [{ name: "0", containerEdits: { deviceNodes: nodes, env: ["A=1"] } }],
  containerEdits: {
    env: ["A=0", "B=2"],
    additionalGids: [44, 44],
    deviceNodes: [{ path: "/dev/null" }],
    mounts: [{ hostPath: "/etc", containerPath: "/v", options: ["ro"] }],
  },
});
const nvidia = file({ kind: "nvidia.com/gpu", devices: [{ name: "GPU-1" }] });
const open = { allow_devices: undefined, allow_privileged_binds: true };

const planned = (
  asked: string[],
  more: { env?: string; boot?: boolean; files?: CdiFile[]; plugin?: Parameters<typeof plannedCdi>[2] } = {},
) =>
  plannedCdi(
    { deviceEnv: more.env === undefined ? {} : { NVIDIA_VISIBLE_DEVICES: more.env } },
    { cdi_devices: asked, boot: more.boot ?? false },
    more.plugin ?? open,
    () => more.files ?? [vendor, nvidia],
  );

test("the edits of devices, those of a device after those of its specification", async () => {
  expect(await planned(["v.com/c=0"])).toEqual({
    nodes: [
      {
        subject: "The CDI device v.com/c=0",
        device: { host: "/dev/null", container: "/dev/null", permissions: "rwm" },
      },
      { subject: "The CDI device v.com/c=0", device: { host: "/dev/zero", container: "/dev/in", permissions: "r" } },
    ],
    mounts: [{ source: "/etc", target: "/v", readOnly: true, keepOwners: true }],
    environment: { A: "1", B: "2" },
    groups: ["44"],
    notes: [],
  });
  const { groups, notes } = await planned(["v.com/c=0"], { boot: true });
  expect({ groups, notes }).toEqual({ groups: [], notes: [expect.stringContaining("not given to a booted system")] });
});

test("GPUs of Nomad's nvidia plugin", async () => {
  expect((await planned([], { env: "GPU-1" })).notes).toEqual([]);
  expect((await planned([], { env: "GPU-1", files: [vendor] })).notes).toEqual([
    expect.stringContaining("nvidia-ctk cdi generate"),
  ]);
  expect(planned([], { env: "GPU-2" })).rejects.toThrow(
    "The GPU nvidia.com/gpu=GPU-2, which Nomad assigned, is in no specification",
  );
  const strict = { allow_devices: [], allow_privileged_binds: false };
  expect((await planned([], { env: "GPU-1", plugin: strict })).notes).toEqual([]);
});

test.each([
  ["", []],
  ["void", []],
  ["none", []],
  ["all", ["nvidia.com/gpu=all"]],
  ["GPU-1, GPU-2", ["nvidia.com/gpu=GPU-1", "nvidia.com/gpu=GPU-2"]],
  ["../x", []],
])("the GPUs in %j", (variable, names) => expect(assignedGpus(variable)).toEqual(names));

test.each([
  [{ allow_devices: undefined, allow_privileged_binds: false }, "allow_privileged_binds = false"],
  [
    { allow_devices: ["/dev/*"], allow_privileged_binds: true },
    'Option cdi_devices asks for "v.com/c=0", which this client does not allow',
  ],
])("the operator's limits %j", (plugin, sentence) => {
  expect(planned(["v.com/c=0"], { plugin })).rejects.toThrow(sentence);
  expect(planned(["v.com/c=0"], { plugin: { ...plugin, allow_devices: ["v.com/c=*"] } })).resolves.toMatchObject({
    groups: ["44"],
  });
});
