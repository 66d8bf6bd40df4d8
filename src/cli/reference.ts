import { optionsPage } from "../config/docs";
import { pluginJsonSchema, taskJsonSchema } from "../config/json-schema";
import { type Command, parseArguments, UsageError } from "./command";

/** `docs`: the reference of the options that this build supports. */
export const docsCommand: Command = {
  name: "docs",
  summary: "print the reference of all options, in Markdown",
  usage: "",
  help: "Prints all task and plugin options that this build supports, in Markdown.",
  async run(args, terminal) {
    parseArguments(args, {});
    terminal.out(optionsPage());
    return 0;
  },
};

const schemas = { task: taskJsonSchema, plugin: pluginJsonSchema } as const;

/** `schema`: the options as JSON Schema, for editors and for validating job files. */
export const schemaCommand: Command = {
  name: "schema",
  summary: "print the options as JSON Schema",
  usage: "task | plugin",
  completes: ["task", "plugin"],
  help: 'Prints the JSON Schema (2020-12) of a task\'s config block, or of the plugin "nspawn" config block.',
  async run(args, terminal) {
    const { positionals } = parseArguments(args, {}, true);
    const [which, ...more] = positionals;
    if ((which !== "task" && which !== "plugin") || more.length > 0) {
      throw new UsageError('Expected "task" or "plugin".');
    }
    terminal.out(`${JSON.stringify(schemas[which](), undefined, 2)}\n`);
    return 0;
  },
};
