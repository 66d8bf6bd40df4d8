import { parseArgs } from "node:util";
import { decodePluginConfig } from "../config/plugin-config";
import { type Command, orUsageError } from "./command";
import { cgroupFindings } from "./doctor/cgroup-findings";
import { downloadFindings } from "./doctor/download-findings";
import type { HostFacts } from "./doctor/facts";
import { type Finding, hasErrors } from "./doctor/finding";
import { hostFindings } from "./doctor/host-findings";
import { imageStoreFindings } from "./doctor/image-store-findings";
import { networkFindings } from "./doctor/network-findings";
import { pluginDirFindings } from "./doctor/plugin-dir-findings";
import { readHost } from "./doctor/read-host";
import { reportText } from "./doctor/report";

/** `doctor`: checks whether this host can run tasks, and reports how to fix what is missing. */
export const doctorCommand: Command = {
  name: "doctor",
  summary: "check whether this host can run tasks, and how to fix what is missing",
  usage: "[--plugin-dir DIR] [--store DIR] [--json]",
  help: [
    "Checks systemd-nspawn, PID 1, control groups, the kernel, networks and, with --plugin-dir, the agent's plugin_dir.",
    "--store names the image store; needed if the plugin option image_store is set.",
    "Changes nothing. Exit code 0 if tasks can run, 1 if something has to be fixed first.",
  ].join("\n"),
  async run(args, terminal) {
    const { values } = orUsageError(() =>
      parseArgs({
        args: [...args],
        options: { "plugin-dir": { type: "string" }, store: { type: "string" }, json: { type: "boolean" } },
      }),
    );
    const findings = judge(
      await readHost(values["plugin-dir"], values.store ?? decodePluginConfig(new Uint8Array()).image_store),
    );
    terminal.out(
      values.json === true ? `${JSON.stringify({ findings }, undefined, 2)}\n` : reportText(findings, terminal),
    );
    return hasErrors(findings) ? 1 : 0;
  },
};

/** Facts → findings. */
export function judge(facts: HostFacts): Finding[] {
  return [
    ...hostFindings(facts),
    ...cgroupFindings(facts.cgroups),
    ...imageStoreFindings(facts),
    ...downloadFindings(facts),
    ...networkFindings(facts.network),
    ...(facts.pluginDirectory === undefined ? [] : pluginDirFindings(facts.pluginDirectory, facts.self)),
  ];
}
