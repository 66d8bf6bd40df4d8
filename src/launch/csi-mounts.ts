import type { Mount } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { ConfigError } from "../lib/errors";

/** What the agent adds to a task with a `csi_plugin` block. */
type CsiMount = Pick<Mount, "hostPath" | "taskPath" | "propagationMode">;

/**
 * The directory of a plugin's socket, DATA/csi/plugins/ALLOCATION, or that for staging, DATA/csi/TYPE/ID (Nomad 1.6.1,
 * plugin_supervisor_hook.go, newCSIPluginSupervisorHook()).
 */
const DIRECTORY = /\/csi\/(plugins|controller|node|monolith)\/[^/]+$/;

function kindOf({ hostPath, propagationMode }: CsiMount): string | undefined {
  return propagationMode === "bidirectional" ? DIRECTORY.exec(hostPath)?.[1] : undefined;
}

/**
 * The mounts of a task with those of a CSI controller as systemd-nspawn can make them. The agent asks for propagation to the host with
 * every CSI plugin, but a controller mounts nothing: it only makes its socket, which the host sees without. It needs no device of the host
 * either, so the mount of the host's /dev, which would replace the container's own, is omitted. A node plugin cannot run: in the container
 * a bind mount is a slave of the host's, also if the host's is shared (measured with 252: a mount that is made below it does not appear on
 * the host).
 *
 * @throws ConfigError for a node plugin, which mounts volumes for the host
 */
export function csiMounts<Given extends CsiMount>(mounts: readonly Given[]): readonly Given[] {
  const kinds = mounts.map(kindOf);
  if (!kinds.includes("plugins")) return mounts;
  const node = kinds.find((kind) => kind === "node" || kind === "monolith");
  if (node !== undefined) {
    throw new ConfigError(
      `A csi_plugin of type "${node}" cannot run with this driver: it mounts volumes for the host, and systemd-nspawn does not propagate mounts to the host. Use type = "controller", and another driver for the node plugin.`,
    );
  }
  return mounts
    .filter(({ hostPath, taskPath }) => hostPath !== "/dev" || taskPath !== "/dev")
    .map((mount) => (kindOf(mount) === undefined ? mount : { ...mount, propagationMode: "private" }));
}
