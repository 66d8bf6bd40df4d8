import type { SystemdManager } from "../../systemd/manager";
import { mergeProperties, type UnitState, unknownUnit } from "./unit-state";

/** The state of a unit at this moment, without following it. @throws DbusError */
export async function readUnit(manager: Pick<SystemdManager, "watch" | "refresh">, unit: string): Promise<UnitState> {
  let state = unknownUnit;
  const unwatch = manager.watch(unit, (change) => {
    if (change.kind === "properties") state = mergeProperties(state, change.values);
  });
  try {
    await manager.refresh(unit);
  } finally {
    unwatch();
  }
  return state;
}
