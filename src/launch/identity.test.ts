import { expect, test } from "bun:test";
import { identityTexts, maskedUnits } from "./identity";

const ID = "0123456789abcdef0123456789abcdef";
const OTHER = "fedcba9876543210fedcba9876543210\n";
const COMMAND = { machineId: ID, taken: [], mode: "pid1", options: { console: undefined } } as const;
const BOOT = { ...COMMAND, mode: "boot" } as const;

test.each([
  ["a command in an image with an ID", COMMAND, OTHER, { machineId: `${ID}\n`, mask: undefined }],
  ["a command in an image without one", COMMAND, "", { machineId: undefined, mask: undefined }],
  ["a system in an image with an ID", BOOT, OTHER, { machineId: `${ID}\n`, mask: "" }],
  ["a system that boots for the first time", BOOT, "uninitialized\n", { machineId: undefined, mask: "" }],
  ["the image's ID", { ...BOOT, machineId: undefined }, OTHER, { machineId: undefined, mask: "" }],
  ["a file of the job", { ...BOOT, taken: ["/etc/machine-id"] }, OTHER, { machineId: undefined, mask: "" }],
  ["a directory of the job", { ...BOOT, taken: ["/etc"] }, OTHER, { machineId: undefined, mask: "" }],
] as const)("files of %s", (_case, plan, machineId, expected) => {
  expect(identityTexts(plan, { machineId })).toEqual(expected);
});

test.each([
  ["a system with the default console", BOOT, false, ["console-getty.service"]],
  ["a system with a mounted machine ID", BOOT, true, ["systemd-machine-id-commit.service", "console-getty.service"]],
  ["a system with a console of the job's choice", { ...BOOT, options: { console: "passive" } }, false, []],
  ["a command", COMMAND, true, []],
] as const)("units that %s must not start", (_case, plan, mounted, expected) => {
  expect(maskedUnits(plan, mounted)).toEqual([...expected]);
});
