/** Writes docs/options.md from the option tables. */
import { mkdir, writeFile } from "node:fs/promises";
import { optionsPage } from "../src/config/docs";

const directory = new URL("../docs/", import.meta.url);
await mkdir(directory, { recursive: true });
await writeFile(new URL("options.md", directory), optionsPage());
