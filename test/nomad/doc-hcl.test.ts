/** Every job in README and docs, and every part of one, is a job for a real agent: what `nomad job validate` asks it. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { errorText } from "../../src/lib/errors";
import { blockAsJob, docBlocks, docPages } from "../../tools/doc-blocks";
import { type Nomad, startNomad } from "./harness/nomad";

let nomad: Nomad;
beforeAll(async () => {
  nomad = await startNomad();
}, 120_000);
afterAll(() => nomad[Symbol.asyncDispose](), 120_000);

/** What is wrong with a job, by the server; undefined if nothing is. */
async function problemOf(hcl: string): Promise<string | undefined> {
  try {
    const { Error: problem, DriverConfigValidated } = await nomad.api.validateJob(await nomad.api.parseJob(hcl));
    if (problem !== "") return problem;
    return DriverConfigValidated ? undefined : "not validated";
  } catch (error) {
    return errorText(error);
  }
}

test("the agent accepts each job, and each part of one, of README and docs", async () => {
  const wrong: unknown[] = [];
  let jobs = 0;
  for (const page of await docPages()) {
    for (const { text, kind } of await docBlocks(page)) {
      if (kind !== "job") continue;
      jobs++;
      const problem = await problemOf(blockAsJob(text));
      if (problem !== undefined) wrong.push({ page, text, problem });
    }
  }
  expect(wrong).toEqual([]);
  expect(jobs).toBeGreaterThan(50);
});

test("the agent refuses a job with a block that it does not know", async () => {
  expect(await problemOf(blockAsJob('config {\n image = "a"\n}\nunknown {\n}\n'))).toContain("unknown");
});
