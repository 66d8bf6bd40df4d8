import { existsSync } from "node:fs";
import { readCgroupLayout } from "../../src/host/cgroup-layout";
import { settingsFilePath } from "../../src/nspawn/settings-file";
import { createLogger } from "../../src/plugin/logger";
import { createSystemdSupervisor } from "../../src/supervisor/systemd/supervisor";
import { unitName } from "../../src/supervisor/systemd/unit-properties";
import { kernelTellsExits, supervisorSuite } from "../supervisor/supervisor-suite";

const log = createLogger("test", () => {});
const layout = readCgroupLayout();

/** Whether systemd keeps a unit of the machine. */
function unitsOf(machine: string): string[] {
  const { stdout } = Bun.spawnSync(["systemctl", "list-units", "--all", "--plain", "--no-legend", unitName(machine)]);
  return stdout.toString().split("\n").filter(Boolean);
}

// systemd 257 of the test host limits memory on pure cgroup v2 only; this machine's is hybrid.
supervisorSuite("systemd", async () => createSystemdSupervisor(log), {
  memoryLimits: layout.kind === "v2",
  exactSignalOfPid2: kernelTellsExits(),
  leftovers: (machine) => [...unitsOf(machine), ...[settingsFilePath(machine)].filter((path) => existsSync(path))],
});
