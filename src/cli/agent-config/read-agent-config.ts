/**
 * The configuration of a Nomad agent on this host, as far as the driver has a part in it: the plugin block, and the directories that
 * `doctor` checks. It is read from the agent's files, not from a running agent.
 *
 * `validate` checks jobs against it, and `doctor` says what it allows.
 */

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { encode } from "@msgpack/msgpack";
import { decodePluginConfig } from "../../config/plugin/decode";
import type { PluginOptions } from "../../config/plugin/options";
import { ConfigError, errorText } from "../../lib/errors";
import { isRecord, parseJson } from "../../lib/objects";
import { bodyValue } from "../hcl/evaluate";
import { type Body, parseHcl } from "../hcl/parse";

/** Where the packages of Nomad have the agent's configuration. */
export const DEFAULT_CONFIG = "/etc/nomad.d";

/** The names of this driver's plugin block: the name of the executable in plugin_dir. */
const LABELS: readonly string[] = ["nspawn", "nomad-driver-nspawn"];

/** What an agent's configuration says about the driver. */
export interface AgentConfig {
  /** The label of its plugin block; undefined if it has none, so that all options have their defaults. */
  readonly label: string | undefined;
  readonly plugin: PluginOptions;
  /** Where the agent looks for plugins; undefined if the files do not say. */
  readonly pluginDir: string | undefined;
}

/**
 * Reads an agent's configuration: a file in HCL or JSON, or a directory of them, of which later ones win, as with Nomad's -config.
 *
 * @throws Error with a sentence if it cannot be read, ConfigError for an invalid plugin block
 */
export function readAgentConfig(path: string): AgentConfig {
  return agentConfigOf(filesAt(path).map((file) => ({ name: file, text: readText(file) })));
}

function filesAt(path: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    const names = readdirSync(path).filter((name) => /\.(?:hcl|json)$/.test(name));
    return names.sort().map((name) => join(path, name));
  } catch (error) {
    throw new Error(`The agent's configuration ${path} cannot be read: ${errorText(error)}.`, { cause: error });
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Error(`The agent's configuration ${file} cannot be read: ${errorText(error)}.`, { cause: error });
  }
}

/** @throws Error, ConfigError */
export function agentConfigOf(files: readonly { readonly name: string; readonly text: string }[]): AgentConfig {
  let label: string | undefined;
  let raw: Readonly<Record<string, unknown>> = {};
  const directories: { plugin?: string; data?: string } = {};
  for (const { name, text } of files) {
    const content = contentOf(name, text);
    if (typeof content.top["plugin_dir"] === "string") directories.plugin = content.top["plugin_dir"];
    if (typeof content.top["data_dir"] === "string") directories.data = content.top["data_dir"];
    for (const block of content.plugins) {
      if (!LABELS.includes(block.label)) continue;
      label = block.label;
      raw = { ...raw, ...block.config };
    }
  }
  const { data } = directories;
  const plugin = decodePluginConfig(encode(raw));
  return { label, plugin, pluginDir: directories.plugin ?? (data === undefined ? undefined : join(data, "plugins")) };
}

interface FileContent {
  readonly top: Readonly<Record<string, unknown>>;
  readonly plugins: readonly { readonly label: string; readonly config: Readonly<Record<string, unknown>> }[];
}

function contentOf(name: string, text: string): FileContent {
  if (name.endsWith(".json")) {
    const value = parseJson(text);
    if (!isRecord(value)) throw new Error(`The agent's configuration ${name} is not valid JSON.`);
    return { top: value, plugins: jsonPlugins(value["plugin"]) };
  }
  try {
    return hclContent(parseHcl(text));
  } catch (error) {
    throw new ConfigError(`The agent's configuration ${name} cannot be read: ${errorText(error)}`, { cause: error });
  }
}

function hclContent(file: Body): FileContent {
  const scope = new Map();
  const plugins = file.blocks
    .filter(({ type }) => type === "plugin")
    .map(({ labels, body }) => {
      const configs = body.blocks.filter(({ type }) => type === "config");
      return {
        label: labels[0] ?? "",
        config: Object.assign({}, ...configs.map((config) => bodyValue(config.body, scope))),
      };
    });
  return { top: bodyValue({ attributes: file.attributes, blocks: [] }, scope), plugins };
}

/** Blocks in JSON are maps, or lists of maps. */
function jsonPlugins(value: unknown): FileContent["plugins"] {
  return maps(value).flatMap((plugin) =>
    Object.entries(plugin).flatMap(([label, content]) =>
      maps(content).map((block) => ({ label, config: Object.assign({}, ...maps(block["config"])) })),
    ),
  );
}

function maps(value: unknown): Readonly<Record<string, unknown>>[] {
  return (Array.isArray(value) ? value : [value]).filter(isRecord);
}
