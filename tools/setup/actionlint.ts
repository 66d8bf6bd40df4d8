import { join } from "node:path";
import { projectRoot } from "../build/project";
import { goProgram } from "./go-program";

/** Path of actionlint, which checks workflows of GitHub; built on first use. */
export function actionlint(say?: (line: string) => void): Promise<string> {
  const module = join(projectRoot, "tools/setup/actionlint-module");
  const program = "github.com/rhysd/actionlint/cmd/actionlint";
  return goProgram({ name: "actionlint", module, package: program, kind: "build", cgo: false }, say);
}
