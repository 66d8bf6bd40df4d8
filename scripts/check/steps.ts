/** Checks of the sources that run no test; each passes or fails as a whole. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectRoot } from "../../tools/build/project";
import { run } from "../../tools/command";
import { checkLayers } from "./layers";

/** One check; rejects with the problem. */
export interface Step {
  readonly name: string;
  readonly check: () => Promise<void>;
}

const tool = (name: string) => join(projectRoot, "node_modules/.bin", name);

/** Runs a tool of this project with the project's tools on its PATH, which buf needs for its plugins. */
async function runTool(name: string, ...args: readonly string[]): Promise<void> {
  const path = `${join(projectRoot, "node_modules/.bin")}:${process.env["PATH"] ?? ""}`;
  await run([tool(name), ...args], { cwd: projectRoot, env: { ...process.env, PATH: path } });
}

/** All of them, in order; none needs the result of another. */
export const steps: readonly Step[] = [
  { name: "lint", check: () => runTool("biome", "check", "--error-on-warnings", ".") },
  { name: "lint protos", check: () => runTool("buf", "lint") },
  { name: "types", check: () => runTool("tsc", "--noEmit") },
  { name: "layers", check: layers },
  { name: "generated code is up to date", check: generatedCode },
];

/** Builds the executable that the tests use, without compressing it. */
export async function build(): Promise<void> {
  await run([process.execPath, join(projectRoot, "scripts/build.ts"), "--binary-only"], { cwd: projectRoot });
}

/** Imports only point down, without cycles; see layers.ts. */
async function layers(): Promise<void> {
  const problems = checkLayers(projectRoot);
  if (problems.length > 0) throw new Error(problems.join("\n"));
}

/** Generates the code again in another directory and compares. */
async function generatedCode(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "generated-"));
  try {
    await runTool("buf", "generate", "--output", directory);
    await run(["diff", "--recursive", "--brief", join(projectRoot, "gen"), join(directory, "gen")]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
