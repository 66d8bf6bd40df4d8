/**
 * `doctor`: whether this host can run tasks, and how to fix what is missing. read-host.ts reads the *facts* (host-facts.ts), which is the
 * only part that touches the host and changes nothing on it; the *checks* (files named *-checks.ts) are pure functions from facts to
 * *findings*. A finding is ok, a warning (a feature does not work) or an error (no task can run), each with one sentence and a fix.
 */

import { existsSync } from "node:fs";
import { decodePluginConfig } from "../../config/plugin/decode";
import { type Command, parseArguments } from "../command";
import { cgroupFindings } from "./cgroup-checks";
import { configFindings, readConfigFact } from "./config-checks";
import { type Finding, hasErrors, reportText } from "./finding";
import { hostFindings } from "./host-checks";
import type { HostFacts } from "./host-facts";
import { downloadFindings, imageStoreFindings } from "./image-checks";
import { imageKindFindings } from "./image-kind-checks";
import { networkFindings } from "./network-checks";
import { pluginDirFindings } from "./plugin-dir-checks";
import { readHost } from "./read-host";
import { systemFindings } from "./system-checks";
import { readTelemetry, telemetryFindings } from "./telemetry-checks";

/** `doctor`: checks whether this host can run tasks, and reports how to fix what is missing. */
export const doctorCommand: Command = {
  name: "doctor",
  summary: "check whether this host can run tasks, and how to fix what is missing",
  usage: "[--config PATH] [--plugin-dir DIR] [--store DIR] [--json]",
  help: [
    "Checks systemd-nspawn, PID 1, control groups, the kernel, networks, the agent's configuration and its plugin_dir, and says what",
    "jobs may do on this client.",
    "",
    "  --config PATH     the agent's configuration, a file or directory (/etc/nomad.d, if it exists); its image store, signature policy",
    "                    and limits are checked",
    "  --plugin-dir DIR  the agent's plugin_dir, if it is not the one in the configuration",
    "  --store DIR       the image store, if it is not the one in the configuration",
    "  --json            print JSON",
    "",
    "Changes nothing. Exit code 0 if tasks can run, 1 if something has to be fixed first.",
  ].join("\n"),
  async run(args, terminal) {
    const { values } = parseArguments(args, {
      config: { type: "string" },
      "plugin-dir": { type: "string" },
      store: { type: "string" },
      json: { type: "boolean" },
    });
    const agent = readConfigFact(values.config);
    const known = agent !== undefined && "config" in agent ? agent.config : undefined;
    const options = known?.plugin ?? decodePluginConfig(new Uint8Array());
    // The directory of the configuration is checked if it is there: without one, the agent uses none.
    const pluginDir = values["plugin-dir"] ?? existing(known?.pluginDir);
    const facts = await readHost(pluginDir, values.store ?? options.image_store, options);
    const findings = [
      ...evaluate(facts),
      ...(agent === undefined ? [] : configFindings(agent)),
      ...telemetryFindings(await readTelemetry(options)),
    ];
    terminal.out(
      values.json === true ? `${JSON.stringify({ findings }, undefined, 2)}\n` : reportText(findings, terminal),
    );
    return hasErrors(findings) ? 1 : 0;
  },
};

function existing(directory: string | undefined): string | undefined {
  return directory !== undefined && existsSync(directory) ? directory : undefined;
}

/** Facts → findings. */
export function evaluate(facts: HostFacts): Finding[] {
  return [
    ...hostFindings(facts),
    ...cgroupFindings(facts),
    ...imageStoreFindings(facts),
    ...downloadFindings(facts),
    ...imageKindFindings(facts.imageKinds, facts.nspawn.kind === "found" ? facts.nspawn.version : undefined),
    ...networkFindings(facts.network),
    ...systemFindings(facts.system),
    ...(facts.pluginDirectory === undefined ? [] : pluginDirFindings(facts.pluginDirectory, facts.self)),
  ];
}
