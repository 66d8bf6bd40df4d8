import { existsSync } from "node:fs";
import type { PluginOptions } from "../../config/plugin/options";
import { errorText } from "../../lib/errors";
import { readableSize } from "../../values/units";
import { type AgentConfig, DEFAULT_CONFIG, readAgentConfig } from "../agent-config/read-agent-config";
import { about, type Finding } from "./finding";

/** An agent's configuration as found on disk; if it cannot be read, `problem` is the reason. */
export type AgentConfigFact =
  | { readonly path: string; readonly config: AgentConfig }
  | { readonly path: string; readonly problem: string };

/** Reads the agent's configuration; undefined if none is named and there is none at the usual place. */
export function readConfigFact(named: string | undefined): AgentConfigFact | undefined {
  const path = named ?? DEFAULT_CONFIG;
  if (named === undefined && !existsSync(path)) return undefined;
  try {
    return { path, config: readAgentConfig(path) };
  } catch (error) {
    return { path, problem: errorText(error) };
  }
}

const report = about("config");

/** Evaluates the driver's part of an agent's configuration, and says what jobs may do on this client. */
export function configFindings(fact: AgentConfigFact): Finding[] {
  if ("problem" in fact) {
    return [report.error(fact.problem, "Correct the file, or name another one with --config PATH.")];
  }
  const { path, config } = fact;
  return [blockFinding(path, config), ...jobFindings(config.plugin)];
}

function blockFinding(path: string, { label, plugin }: AgentConfig): Finding {
  if (label === undefined) {
    return report.warning(
      `The agent's configuration ${path} has no block for the driver: current versions of Nomad do not load it.`,
      'Add plugin "nspawn" { config {} }, with the name of the file in plugin_dir as its label.',
    );
  }
  if (plugin.enabled) return report.ok(`The agent's configuration ${path} has the block plugin "${label}".`);
  return report.error(
    `The block plugin "${label}" in ${path} has enabled = false: no task can run.`,
    "Remove enabled = false.",
  );
}

/** What the operator allows jobs, as one sentence per subject. */
export function jobFindings(plugin: PluginOptions): Finding[] {
  const jobs = about("jobs");
  return [users(plugin), files(plugin), rights(plugin), network(plugin), limits(plugin)].map((text) => jobs.ok(text));
}

function users({ require_user_namespacing: required, allow_bind_users: bound }: PluginOptions): string {
  const own = required
    ? "Jobs run with user IDs of their own (require_user_namespacing)"
    : "Jobs may run with the client's user IDs (user_namespacing = false), and so as its root";
  return bound.length === 0 ? `${own}.` : `${own}; they may have its users ${bound.join(", ")} (bind_user).`;
}

function files(plugin: PluginOptions): string {
  const paths = plugin.allow_privileged_binds
    ? "Jobs may mount any path of the client"
    : "Jobs may mount nothing but their task directory (allow_privileged_binds = false)";
  const volumes = plugin.volumes ? "they may use host and CSI volumes" : "they may use no volumes (volumes = false)";
  const images = plugin.image_paths.length === 0 ? "any path" : plugin.image_paths.join(", ");
  const own = plugin.allow_task_images ? ", and from their artifacts" : "";
  return `${paths}; ${volumes}; images may come from ${images}${own}.`;
}

function rights({ allow_caps: caps, allow_properties: properties }: PluginOptions): string {
  const added = caps.includes("all") ? "any capability" : caps.length === 0 ? "no capability" : caps.join(", ");
  const units = properties.length === 0 ? "no unit properties" : `the unit properties ${properties.join(", ")}`;
  return `Jobs may add ${added}, and set ${units}.`;
}

function network({ allow_host_network: host, network: { bridges } }: PluginOptions): string {
  const own = host ? "Jobs may use the client's own network" : "Jobs may not use the client's own network";
  return `${own}; they may use ${bridges.length === 0 ? "any bridge" : `the bridges ${bridges.join(", ")}`}.`;
}

const OUTPUTS = {
  nomad: "Nomad's logs",
  journal: "the client's journal",
  both: "Nomad's logs and the client's journal",
} as const satisfies Record<PluginOptions["log_driver"], string>;

function limits(plugin: PluginOptions): string {
  const storage =
    plugin.storage_limit === undefined ? "without a limit" : `up to ${readableSize(plugin.storage_limit)}`;
  const oom = plugin.allow_negative_oom_score_adjust ? "; they may be spared by the OOM killer" : "";
  const log = OUTPUTS[plugin.log_driver];
  return `Jobs may write to their root ${storage}${oom}; their output goes to ${log} unless they say otherwise.`;
}
