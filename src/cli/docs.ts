import { parseArgs } from "node:util";
import { optionsPage } from "../config/docs";
import { type Command, orUsageError } from "./command";

/** `docs`: the reference of options this very build understands. */
export const docsCommand: Command = {
  name: "docs",
  summary: "the reference of all options, in Markdown",
  usage: "",
  help: "Prints every option of a task and of the plugin as this build understands them, in Markdown.",
  async run(args, terminal) {
    orUsageError(() => parseArgs({ args: [...args] }));
    terminal.out(optionsPage());
    return 0;
  },
};
