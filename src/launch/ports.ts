import type { Resources } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { TaskOptions } from "../config/task/options";
import { ConfigError } from "../lib/errors";
import type { PortForward } from "../network/network";
import { parseAddress } from "../values/ip";

/** A port that Nomad reserved. */
interface Reserved {
  readonly label: string;
  readonly value: number;
  /** Port in the container from the group's network block; 0 or -1 if not set there. */
  readonly to: number;
  readonly hostIp: string;
}

/**
 * The ports that a task's options forward to its container, as in the Docker driver: `ports` names labels of the
 * group's network block, `port_map` maps labels to ports of the container, all others of the task's network keep their number.
 *
 * @throws ConfigError for a label that Nomad reserved no port for
 */
export function portForwards(
  { ports, port_map }: Pick<TaskOptions, "ports" | "port_map">,
  resources: Resources | undefined,
): PortForward[] {
  const group = (resources?.ports ?? []).map(({ label, value, to, hostIp }) => ({ label, value, to, hostIp }));
  if (ports.length > 0) {
    return [...new Set(ports)].map((label) => {
      const found = withLabel("ports", label, group);
      return forward(found, found.to > 0 ? found.to : found.value);
    });
  }
  const labels = Object.keys(port_map);
  if (labels.length === 0) return [];
  const task = (resources?.allocatedResources?.networks ?? []).flatMap(({ ip, reservedPorts, dynamicPorts }) =>
    [...reservedPorts, ...dynamicPorts].map(({ label, value }) => ({ label, value, to: 0, hostIp: ip })),
  );
  const known = task.length > 0 ? task : group.filter(({ label }) => labels.includes(label));
  for (const label of labels) withLabel("port_map", label, known);
  return known.map((reserved) => forward(reserved, port_map[reserved.label] ?? reserved.value));
}

function withLabel(option: string, label: string, known: readonly Reserved[]): Reserved {
  const found = known.find((reserved) => reserved.label === label);
  if (found !== undefined) return found;
  const names = known.map((reserved) => JSON.stringify(reserved.label)).join(", ");
  throw new ConfigError(
    `Option ${option} names the port ${JSON.stringify(label)}, which the group's network block does not define: ${
      names === "" ? "add a port block with that label" : `its ports are ${names}`
    }.`,
  );
}

function forward({ label, value, hostIp }: Reserved, containerPort: number): PortForward {
  const address = parseAddress(hostIp);
  return {
    label,
    ...(address === undefined || address.value === 0n ? {} : { hostAddress: hostIp }),
    hostPort: value,
    containerPort,
  };
}
