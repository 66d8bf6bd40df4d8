/** The HCL blocks of README and docs, for the tests that hold them against the driver and against Nomad. */

import { join } from "node:path";
import { projectRoot } from "./build/project";

/** A block of a page. */
export interface DocBlock {
  readonly text: string;
  /** Of the plugin's configuration in the agent's file, or of a job; other blocks are parts that mean nothing alone. */
  readonly kind: "plugin" | "job" | "other";
}

const PLUGIN_CONFIG = "## Plugin config";

/** README and every page of docs, relative to the repository. */
export async function docPages(): Promise<readonly string[]> {
  return ["README.md", ...(await Array.fromAsync(new Bun.Glob("docs/*.md").scan(projectRoot)))].toSorted();
}

/** The HCL blocks of a page. Those of docs/options.md below "Plugin config" get the plugin's block around them. */
export async function docBlocks(page: string): Promise<readonly DocBlock[]> {
  const text = await Bun.file(join(projectRoot, page)).text();
  return [...text.matchAll(/^( *)```hcl\n(.*?)^ *```$/gms)].map((found): DocBlock => {
    const block = found[2] ?? "";
    if (page === "docs/options.md" && text.slice(0, found.index).includes(PLUGIN_CONFIG))
      return { text: `plugin "nspawn" {\n${block}\n}`, kind: "plugin" };
    if (has(block, "plugin")) return { text: block, kind: "plugin" };
    return { text: block, kind: has(block, "config") || has(block, "job") ? "job" : "other" };
  });
}

const has = (text: string, block: string) => new RegExp(`^\\s*${block}\\b[^=\\n]*\\{`, "m").test(text);

/** A block as a part of a job: the whole job around it, with an image and a port where it has none. */
export function blockAsJob(text: string): string {
  if (has(text, "job")) return text;
  if (has(text, "group")) return `job "x" {\n${text}\n}`;
  const network = has(text, "network") ? "" : 'network {\n port "http" {}\n }\n';
  if (has(text, "task")) return `job "x" {\n group "x" {\n ${network}${text}\n}\n}`;
  const config = /^\s*image\s*=/m.test(text) ? text : text.replace(/config \{/, 'config {\n image = "debian"');
  return `job "x" {\n group "x" {\n ${network}task "x" {\n driver = "nspawn"\n${config}\n}\n}\n}`;
}
