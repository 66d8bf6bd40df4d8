import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { encode } from "@msgpack/msgpack";
import { decodePluginConfig } from "../config/plugin/decode";
import type { PluginOptions } from "../config/plugin/options";
import { errnoCode } from "../lib/errors";
import { isRecord, parseJson } from "../lib/objects";
import { type HclBody, HclError, type HclValue, parseHcl } from "../values/hcl";
import { UsageError } from "./command";

/** The names of the executable in a plugin_dir, which are the labels of its block. */
const LABELS = ["nspawn", "nomad-driver-nspawn"];

/**
 * The plugin's config as an agent would send it: the block `plugin "nspawn"` of a configuration file of the agent, or of the files *.hcl
 * and *.json of a directory, in the agent's order (command/agent/config.go, LoadConfigDir()). Without a path all defaults.
 *
 * @throws UsageError if a file cannot be read, or none has the block; ConfigError for an option that is not valid
 */
export async function readPluginConfig(path: string | undefined): Promise<PluginOptions> {
  if (path === undefined) return decodePluginConfig(new Uint8Array());
  const blocks: Readonly<Record<string, unknown>>[] = [];
  for (const file of await filesOf(path)) blocks.push(...pluginBlocks(await readText(file), file));
  if (blocks.length === 0) {
    throw new UsageError(
      `--config ${path}: no file of it has a block plugin "nspawn" or plugin "nomad-driver-nspawn".`,
    );
  }
  const config = Object.assign({}, ...blocks.flatMap(({ config: inner }) => records(inner)));
  return decodePluginConfig(encode(config));
}

/** The plugin's blocks of a file. @param file for errors @throws UsageError */
export function pluginBlocks(text: string, file: string): readonly Readonly<Record<string, unknown>>[] {
  const json = file.endsWith(".json") || text.trimStart().startsWith("{");
  return json ? ofJson(text, file) : ofHcl(text, file);
}

function ofHcl(text: string, file: string): readonly Readonly<Record<string, unknown>>[] {
  try {
    return parseHcl(text).items.flatMap(({ name, labels, value }) =>
      name === "plugin" && LABELS.includes(labels[0] ?? "") ? records(plain(value)) : [],
    );
  } catch (error) {
    if (!(error instanceof HclError)) throw error;
    throw new UsageError(`--config ${file} is not a configuration file of a Nomad agent: ${error.message}.`);
  }
}

/** In JSON each level may be an object or a list of objects. */
function ofJson(text: string, file: string): readonly Readonly<Record<string, unknown>>[] {
  const content = parseJson(text);
  if (!isRecord(content))
    throw new UsageError(`--config ${file} is not a configuration file of a Nomad agent: it is not JSON.`);
  return records(content["plugin"]).flatMap((plugin) => LABELS.flatMap((label) => records(plugin[label])));
}

/** Blocks of one name become a list, as the agent passes them on. */
function plain(value: HclValue): unknown {
  if (typeof value !== "object") return value;
  return "items" in value ? plainBody(value) : value.map(plain);
}

function plainBody({ items }: HclBody): Readonly<Record<string, unknown>> {
  const found = new Map<string, unknown>();
  for (const { name, labels, value } of items) {
    const inner = labels.reduceRight<unknown>((content, label) => ({ [label]: content }), plain(value));
    const before = found.get(name);
    found.set(name, isRecord(inner) && before !== undefined ? [...records(before), inner] : inner);
  }
  return Object.fromEntries(found);
}

function records(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return (Array.isArray(value) ? value : [value]).filter(isRecord);
}

async function filesOf(path: string): Promise<readonly string[]> {
  const directory = await readable(path, async () => (await stat(path)).isDirectory());
  if (!directory) return [path];
  const names = await readable(path, () => readdir(path));
  return names
    .filter((name) => /^[^.#].*\.(?:hcl|json)$/.test(name))
    .toSorted()
    .map((name) => join(path, name));
}

function readText(path: string): Promise<string> {
  return readable(path, () => readFile(path, "utf8"));
}

async function readable<Result>(path: string, read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    throw new UsageError(`--config ${path} cannot be read: ${errnoCode(error) ?? "unknown error"}.`);
  }
}
