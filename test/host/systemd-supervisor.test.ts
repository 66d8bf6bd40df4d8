import { existsSync, readFileSync } from "node:fs";
import { readCgroupLayout } from "../../src/linux/cgroup/layout";
import { settingsFilePath } from "../../src/nspawn/environment";
import { createLogger } from "../../src/plugin/logger";
import { SystemdSupervisor } from "../../src/supervisor/systemd/systemd-supervisor";
import { removeDropIn, unitName } from "../../src/supervisor/systemd/unit-properties";
import { kernelTellsExits, supervisorSuite } from "../supervisor/supervisor-suite";

const log = createLogger("test", () => {});
const layout = readCgroupLayout();

/** Whether systemd keeps a unit of the machine. */
function unitsOf(machine: string): string[] {
  const { stdout } = Bun.spawnSync(["systemctl", "list-units", "--all", "--plain", "--no-legend", unitName(machine)]);
  return stdout.toString().split("\n").filter(Boolean);
}

/** systemd limits memory only on pure cgroup v2, and only if the machine around the test host delegates the controller. */
const memoryLimits =
  layout.kind === "v2" && readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").split(/\s+/).includes("memory");

supervisorSuite("systemd", async () => new SystemdSupervisor(log), {
  memoryLimits,
  exactSignalOfPid2: kernelTellsExits(),
  forget: (machine) => removeDropIn(unitName(machine)),
  leftovers: (machine) => [...unitsOf(machine), ...[settingsFilePath(machine)].filter((path) => existsSync(path))],
});
