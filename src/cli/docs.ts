import { parseArgs } from "node:util";
import { optionsPage } from "../config/docs";
import { type Command, orUsageError } from "./command";

/** `docs`: the reference of the options that this build supports. */
export const docsCommand: Command = {
  name: "docs",
  summary: "print the reference of all options, in Markdown",
  usage: "",
  help: "Prints all task and plugin options that this build supports, in Markdown.",
  async run(args, terminal) {
    orUsageError(() => parseArgs({ args: [...args] }));
    terminal.out(optionsPage());
    return 0;
  },
};
