/** Every HCL block of the documentation is right: jobs and parts of them as the driver decodes them, and the plugin's blocks. */

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { agentConfigOf } from "../../src/cli/agent-config/read-agent-config";
import { checkTask } from "../../src/cli/validate/check-task";
import { tasksOf } from "../../src/cli/validate/job-file";
import { projectRoot } from "../../tools/build/project";

const pages = ["README.md", ...(await Array.fromAsync(new Bun.Glob("docs/*.md").scan(projectRoot)))].toSorted();
const context = { pluginDir: "/opt/nomad/plugins", plugin: undefined };
const PLUGIN_CONFIG = "## Plugin config";

interface Block {
  readonly text: string;
  /** The part of the page before it. */
  readonly before: string;
}

async function blocksOf(page: string): Promise<readonly Block[]> {
  const text = await Bun.file(join(projectRoot, page)).text();
  return [...text.matchAll(/^( *)```hcl\n(.*?)^ *```$/gms)].map((found) => ({
    text: found[2] ?? "",
    before: text.slice(0, found.index),
  }));
}

const has = (text: string, block: string) => new RegExp(`^\\s*${block}\\b[^=\\n]*\\{`, "m").test(text);

/** A block as a part of a job: the whole job around it, with an image where it has none. */
function asJob(text: string): string {
  if (has(text, "job")) return text;
  if (has(text, "group")) return `job "x" {\n${text}\n}`;
  if (has(text, "task")) return `job "x" {\n group "x" {\n network {\n port "http" {}\n }\n${text}\n}\n}`;
  const config = /^\s*image\s*=/m.test(text) ? text : text.replace(/config \{/, 'config {\n image = "debian"');
  return `job "x" {\n group "x" {\n network {\n port "http" {}\n }\n task "x" {\n driver = "nspawn"\n${config}\n}\n}\n}`;
}

describe.each(pages)("%s", (page) => {
  test("its blocks are right", async () => {
    const wrong: unknown[] = [];
    for (const { text, before } of await blocksOf(page)) {
      const ofPlugin = page === "docs/options.md" && before.includes(PLUGIN_CONFIG);
      if (ofPlugin || has(text, "plugin")) {
        const whole = ofPlugin ? `plugin "nspawn" {\n${text}\n}` : text;
        expect(() => agentConfigOf([{ name: "agent.hcl", text: whole }])).not.toThrow();
      } else if (has(text, "config") || has(text, "job")) {
        const problems = tasksOf(asJob(text), {}).flatMap((task) => checkTask(task, context).problems);
        if (problems.length > 0) wrong.push({ text, problems });
      }
    }
    expect(wrong).toEqual([]);
  });
});
