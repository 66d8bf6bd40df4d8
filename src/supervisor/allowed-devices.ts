import { nspawnSwitches } from "./nspawn-switches";
import type { LaunchSpec } from "./supervisor";

/**
 * Devices that systemd-nspawn or the container may open beside the harmless ones of DevicePolicy=closed, as in
 * systemd-nspawn@.service(5): with --keep-unit somebody else than systemd-nspawn has to confine them, for the container has
 * CAP_MKNOD.
 */
const containerDevices: LaunchSpec["devices"] = [
  { path: "/dev/net/tun", permissions: "rwm" },
  { path: "char-pts", permissions: "rw" },
  { path: "/dev/fuse", permissions: "rwm" },
  // To make a node is not to open it. systemd-nspawn makes those that an image has again, where it gives an overlay's files
  // to a user namespace: without this, it fails on a Debian's /dev/console. OCI runtimes allow the same (runc, "c *:* m").
  { path: "char-*", permissions: "m" },
  { path: "block-*", permissions: "m" },
];

/** What systemd-nspawn itself needs to attach a disk image. */
const diskImageDevices: LaunchSpec["devices"] = [
  { path: "/dev/loop-control", permissions: "rw" },
  { path: "block-loop", permissions: "rw" },
  { path: "block-blkext", permissions: "rw" },
  { path: "/dev/mapper/control", permissions: "rw" },
  { path: "block-device-mapper", permissions: "rw" },
];

/** All devices that a container and its systemd-nspawn may open, in the notation of DeviceAllow= (systemd.resource-control(5)). */
export function allowedDevices(spec: Pick<LaunchSpec, "argv" | "devices">): LaunchSpec["devices"] {
  const diskImage = nspawnSwitches(spec.argv).some((argument) => argument.startsWith("--image="));
  return [...containerDevices, ...(diskImage ? diskImageDevices : []), ...spec.devices];
}
