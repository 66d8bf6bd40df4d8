import { expect, test } from "bun:test";
import { csiMounts } from "./csi-mounts";

const mount = (hostPath: string, taskPath: string, propagationMode = "") => ({ hostPath, taskPath, propagationMode });
const socket = mount("/var/lib/nomad/client/csi/plugins/0a1b", "/csi", "bidirectional");
const device = mount("/dev", "/dev");
const staging = (type: string) => mount(`/var/lib/nomad/client/csi/${type}/id`, "/local/csi", "bidirectional");
const volume = mount("/srv/data", "/data", "private");

test("a controller gets its directories, and not the host's /dev", () => {
  expect(csiMounts([volume, socket, staging("controller"), device])).toEqual([
    volume,
    { ...socket, propagationMode: "private" },
    { ...staging("controller"), propagationMode: "private" },
  ]);
});

test.each(["node", "monolith"])("a plugin of type %s is refused with the reason", (type) => {
  expect(() => csiMounts([socket, staging(type), device])).toThrow(
    `A csi_plugin of type "${type}" cannot run with this driver: it mounts volumes for the host`,
  );
});

test.each([
  ["no mounts", []],
  ["other mounts, also of /dev", [volume, device]],
  ["a volume with propagation to the host", [mount("/srv/csi/data", "/data", "bidirectional")]],
  ["a directory of a controller without a plugin's socket", [staging("controller")]],
])("%s are unchanged", (_, mounts) => {
  expect(csiMounts(mounts)).toEqual(mounts);
});
