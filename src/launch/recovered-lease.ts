import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { TaskOptions } from "../config/task/options";
import { errorText } from "../lib/errors";
import type { Logger } from "../lib/logger";
import { leasedNetwork } from "../network/lan";
import type { TaskNetwork } from "../network/network";
import type { Container } from "../supervisor/supervisor";
import { networkPlan } from "./network-plan";

/**
 * The network of a recovered container whose address the driver requests: its lease is renewed from now on. It keeps running, whatever
 * fails.
 */
export function recoveredLease(
  config: TaskConfig,
  container: Container,
  options: TaskOptions | undefined,
  log: Logger,
): TaskNetwork | undefined {
  const { machine, mode } = container.ref;
  const warn = (message: string) => log.warn(message, { machine });
  try {
    const plan = options && networkPlan(config, options);
    return plan?.kind === "lan" ? leasedNetwork(plan, mode === "boot", container, warn) : undefined;
  } catch (error) {
    warn(`Cannot renew the address of a recovered container: ${errorText(error)}`);
    return undefined;
  }
}
