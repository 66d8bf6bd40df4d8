import { parseArgs } from "node:util";
import { commit, version } from "../lib/version";
import { type Command, orUsageError } from "./command";

/** `version`: the version of this build. */
export const versionCommand: Command = {
  name: "version",
  summary: "print the version of this build",
  usage: "[--json]",
  help: "Prints the version, the commit it was built from, and the version of the Bun runtime in it.",
  async run(args, terminal) {
    const { values } = orUsageError(() => parseArgs({ args: [...args], options: { json: { type: "boolean" } } }));
    const build = { version, commit, bun: Bun.version };
    terminal.out(
      values.json === true
        ? `${JSON.stringify(build)}\n`
        : `nomad-driver-nspawn ${version} (commit ${commit}, bun ${Bun.version})\n`,
    );
    return 0;
  },
};
