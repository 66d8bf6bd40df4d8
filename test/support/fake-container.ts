/** A container that nothing runs in, for unit tests of what tasks do with one. */

import type { LaunchedContainer } from "../../src/launch/launched-container";
import { certain } from "../../src/lib/promises";
import type { Exit } from "../../src/nspawn/payload";
import type { Container } from "../../src/supervisor/supervisor";

const KILLED = { code: 0, signal: 9, oomKilled: false } as const;

/** A running container that ends when it is killed or released. */
export function fakeContainer(machine: string): Container {
  const ended = Promise.withResolvers<Exit>();
  const end = async () => ended.resolve({ ...KILLED, at: Date.now() });
  return {
    ref: { supervisor: "process", machine, mode: "pid1", bootId: "b" },
    startedAt: Date.now(),
    mainPid: () => undefined,
    onRestart: () => () => {},
    started: Promise.resolve(),
    exit: certain(ended.promise, () => ({ ...KILLED, at: Date.now() })),
    signal: async () => true,
    setCpus: async () => {},
    kill: end,
    release: end,
  };
}

/** A launched container without a network. @param release removes what was made beside the container */
export function fakeLaunch(machine: string, release: () => Promise<void>): LaunchedContainer {
  return {
    container: fakeContainer(machine),
    exec: { environment: {} },
    changes: undefined,
    network: undefined,
    warnings: [],
    systemUp: false,
    preparing: "",
    lock: async () => new AsyncDisposableStack(),
    release,
  };
}
