import { splitBindTarget } from "../../src/config/mounts";
import type { TaskOptions } from "../../src/config/task/options";
import type { TaskMount } from "../../src/nspawn/arguments";

/** The mounts that a plan makes of a task's binds and devices (launch/plan-mounts.ts), without looking at the host: sources are as they are. */
export function plannedMounts({ bind, bind_read_only, devices }: TaskOptions): readonly TaskMount[] {
  const binds = (map: TaskOptions["bind"], readOnly: boolean) =>
    Object.entries(map).map(([source, value]): TaskMount => {
      const { path: target, options } = splitBindTarget(value);
      return { source, target, readOnly, ...(options.length === 0 ? {} : { options }) };
    });
  return [
    ...binds(bind, false),
    ...binds(bind_read_only, true),
    ...devices.map(({ host: source, container: target }) => ({ source, target, readOnly: false })),
  ];
}
