/** Every HCL block of the documentation is right: jobs and parts of them as the driver decodes them, and the plugin's blocks. */

import { describe, expect, test } from "bun:test";
import { agentConfigOf } from "../../src/cli/agent-config/read-agent-config";
import { checkTask } from "../../src/cli/validate/check-task";
import { tasksOf } from "../../src/cli/validate/job-file";
import { blockAsJob, docBlocks, docPages } from "../../tools/doc-blocks";

const context = { pluginDir: "/opt/nomad/plugins", plugin: undefined };

describe.each(await docPages())("%s", (page) => {
  test("its blocks are right", async () => {
    const wrong: unknown[] = [];
    for (const { text, kind } of await docBlocks(page)) {
      if (kind === "plugin") {
        expect(() => agentConfigOf([{ name: "agent.hcl", text }])).not.toThrow();
      } else if (kind === "job") {
        const problems = tasksOf(blockAsJob(text), {}).flatMap((task) => checkTask(task, context).problems);
        if (problems.length > 0) wrong.push({ text, problems });
      }
    }
    expect(wrong).toEqual([]);
  });
});
