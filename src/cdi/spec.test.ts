import { expect, test } from "bun:test";
import { fuzz, jsonLike } from "../../test/support/fuzz";
import { parseCdiName, parseCdiSpec } from "./spec";

const minimal = { cdiVersion: "0.6.0", kind: "vendor.com/gpu", devices: [{ name: "0" }] };
const edits = {
  env: ["A=b=c"],
  deviceNodes: [
    { path: "/dev/null" },
    { path: "/dev/x", hostPath: "/dev/zero", permissions: "rw", major: 1, fileMode: 438 },
  ],
  mounts: [{ hostPath: "/a", containerPath: "/b", options: ["ro", "bind"] }],
  hooks: [{ hookName: "createContainer", path: "/usr/bin/hook", args: ["hook"] }],
  additionalGids: [44],
};

test("a specification, as JSON and as YAML", () => {
  const text = JSON.stringify({ ...minimal, devices: [{ name: "0", containerEdits: edits }], annotations: { x: "y" } });
  const spec = parseCdiSpec(text, "json");
  expect(spec).toMatchObject({ kind: "vendor.com/gpu", containerEdits: { env: [], mounts: [] } });
  expect(spec).toEqual(parseCdiSpec(text, "yaml"));
  expect(typeof spec === "string" ? spec : spec.devices[0]?.containerEdits).toMatchObject({
    env: ["A=b=c"],
    deviceNodes: [
      { path: "/dev/null", permissions: "" },
      { path: "/dev/x", hostPath: "/dev/zero", permissions: "rw" },
    ],
    hooks: [{ hookName: "createContainer", path: "/usr/bin/hook" }],
  });
});

test("YAML as nvidia-ctk writes it, with names that are numbers", () => {
  const text =
    "---\ncdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: 0\n  containerEdits:\n    deviceNodes:\n    - path: /dev/nvidia0\n";
  expect(parseCdiSpec(text, "yaml")).toMatchObject({ devices: [{ name: "0" }] });
});

test.each([
  ["no JSON", "{", "it is not JSON"],
  ["a list", "[]", "it is not an object"],
  ["null", "null", "it is not an object"],
  [
    "an unknown version",
    { ...minimal, cdiVersion: "9.9.9" },
    "cdiVersion is not valid: the driver knows the versions 0.3.0",
  ],
  ["no version", { ...minimal, cdiVersion: undefined }, "cdiVersion is missing"],
  ["a kind without a vendor", { ...minimal, kind: "gpu" }, "kind is not valid: it must be VENDOR/CLASS"],
  ["no devices", { ...minimal, devices: [] }, "devices is not valid"],
  ["a device without a name", { ...minimal, devices: [{}] }, "devices.0.name is missing"],
  [
    "a name with a path",
    { ...minimal, devices: [{ name: "../x" }] },
    "devices.0.name is not valid: it must be the name of a device",
  ],
  ["one name twice", { ...minimal, devices: [{ name: "a" }, { name: "a" }] }, 'it has the device "a" twice'],
  [
    "a relative node",
    { ...minimal, containerEdits: { deviceNodes: [{ path: "null" }] } },
    "containerEdits.deviceNodes.0.path is not valid: it must be an absolute path",
  ],
  [
    "a text for a list",
    { ...minimal, containerEdits: { env: "A=b" } },
    "containerEdits.env is not valid: it is of another type",
  ],
  ["a variable without a value", { ...minimal, containerEdits: { env: ["A"] } }, "it must be NAME=VALUE"],
  [
    "a group by name",
    { ...minimal, containerEdits: { additionalGids: ["video"] } },
    "containerEdits.additionalGids.0 is not valid",
  ],
  [
    "too many devices",
    { ...minimal, devices: Array.from({ length: 5000 }, (_, index) => ({ name: `d${index}` })) },
    "devices is not valid",
  ],
])("%s is no specification", (_case, value, problem) => {
  expect(parseCdiSpec(typeof value === "string" ? value : JSON.stringify(value), "json")).toContain(problem);
});

test.each([
  ["[".repeat(100_000), "it is not YAML"],
  [
    `a: &a [x,x,x,x,x,x,x,x,x,x]\n${[..."bcdefghij"].map((c, index) => `${c}: &${c} [${Array(10).fill(`*${"abcdefghij"[index]}`).join(",")}]\n`).join("")}`,
    "",
  ],
  ["a: 1\n---\nb: 2\n", ""],
])("hostile YAML is no specification", (text, problem) => {
  const found = parseCdiSpec(text, "yaml");
  expect(typeof found).toBe("string");
  expect(String(found)).toContain(problem);
});

test("any text is a specification or has a problem", () => {
  const full = { ...minimal, containerEdits: edits };
  fuzz(jsonLike(full), (text) => parseCdiSpec(text, "json"), [], 1_000);
  fuzz(jsonLike(full), (text) => parseCdiSpec(text, "yaml"), [], 1_000);
});

test.each([
  ["nvidia.com/gpu=0", { kind: "nvidia.com/gpu", device: "0" }],
  ["nvidia.com/gpu=GPU-1a2b", { kind: "nvidia.com/gpu", device: "GPU-1a2b" }],
  ["v/c=a=b", undefined],
  ["nvidia.com=0", undefined],
  ["nvidia.com/gpu", undefined],
  ["nvidia.com/gpu=../x", undefined],
  ["=", undefined],
])("%s", (text, name) => expect(parseCdiName(text)).toEqual(name));
