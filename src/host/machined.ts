import { canBeActivated } from "./importd";

/**
 * Whether containers can be registered with systemd-machined (for machinectl). systemd-nspawn fails to start a container that it has to
 * register but cannot.
 */
export function machinedAvailable(): boolean {
  return canBeActivated("org.freedesktop.machine1");
}
