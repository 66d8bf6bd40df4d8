import { RESTART } from "../../nspawn/exit";
import type { PropertyValues } from "../../systemd/manager";

/** The exit code of a service's main process, or the signal that killed it. */
export type ProcessEnd = { readonly code: number } | { readonly signal: number };

/** The state of a unit: the relevant `Unit` and `Service` properties of org.freedesktop.systemd1(5). */
export interface UnitState {
  /** "loaded", or "not-found" for a unit that is gone. */
  readonly loadState: string;
  readonly subState: string;
  /** PID of systemd-nspawn; 0 while it is not running. */
  readonly mainPid: number;
  /** The PID of the main process, also after its exit. */
  readonly execMainPid: number;
  /** CLD_* code of the exit; 0 while it is running. */
  readonly execMainCode: number;
  readonly execMainStatus: number;
  /** Microseconds since the epoch; 0 while it is running or if it never ran. */
  readonly startedAt: number;
  readonly exitedAt: number;
  readonly result: string;
}

/** The initial state: not exited, whatever is reported first. */
export const unknownUnit: UnitState = {
  loadState: "loaded",
  subState: "unknown",
  mainPid: 0,
  execMainPid: 0,
  execMainCode: 0,
  execMainStatus: 0,
  startedAt: 0,
  exitedAt: 0,
  result: "success",
};

const CLD_EXITED = 1;

/** The state after changed properties were reported; all others are unchanged. */
export function mergeProperties(state: UnitState, values: PropertyValues): UnitState {
  const number = (name: string, before: number) => {
    const value = values[name];
    return typeof value === "number" || typeof value === "bigint" ? Number(value) : before;
  };
  const text = (name: string, before: string) => {
    const value = values[name];
    return typeof value === "string" ? value : before;
  };
  return {
    loadState: text("LoadState", state.loadState),
    subState: text("SubState", state.subState),
    mainPid: number("MainPID", state.mainPid),
    execMainPid: number("ExecMainPID", state.execMainPid),
    execMainCode: number("ExecMainCode", state.execMainCode),
    execMainStatus: number("ExecMainStatus", state.execMainStatus),
    startedAt: number("ExecMainStartTimestamp", state.startedAt),
    exitedAt: number("ExecMainExitTimestamp", state.exitedAt),
    result: text("Result", state.result),
  };
}

/**
 * Whether the unit's process is gone for good. A reboot of the container passes through other states
 * ("auto-restart" and, since systemd 254, "dead-before-auto-restart"), which are not among these.
 */
export function hasEnded(state: UnitState): boolean {
  return state.loadState !== "loaded" || ["exited", "failed", "dead"].includes(state.subState);
}

/** Whether the unit of a rebooted container has to be restarted, because this systemd version does not do it (before 254). */
export function awaitsRestart(state: UnitState): boolean {
  const exited = state.loadState === "loaded" && state.subState === "exited" && state.result === "success";
  return exited && state.execMainCode === CLD_EXITED && state.execMainStatus === RESTART;
}

/** How systemd-nspawn exited; a unit that was removed before it ran counts as killed by SIGKILL. */
export function processEnd(state: UnitState): ProcessEnd {
  if (state.execMainCode === CLD_EXITED) return { code: state.execMainStatus };
  if (state.execMainCode === 0) return { signal: 9 };
  return { signal: state.execMainStatus };
}
