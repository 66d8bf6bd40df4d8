/** `bun run site [--out DIR]`: the documentation as a static site, dist/site by default. A link that leads nowhere is an error. */

import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { distDir, projectRoot } from "../tools/build/project";
import { run } from "../tools/command";
import { withDiagrams } from "../tools/site/diagrams";
import { diagramRenderer, generatorDir, installGenerator } from "../tools/site/packages";
import { anchorOf, examplePage, navigation, pageOf, withSiteLinks } from "../tools/site/pages";

const { values } = parseArgs({ options: { out: { type: "string" } } });
const out = resolve(values.out ?? join(distDir, "site"));
const source = join(generatorDir, ".source");

await installGenerator();
await rm(source, { recursive: true, force: true });
try {
  await writeSource();
  await run([join(generatorDir, "node_modules/.bin/vitepress"), "build", source, "--outDir", out], {
    cwd: generatorDir,
  });
} finally {
  await rm(source, { recursive: true, force: true });
}
console.log(out);

/** Writes the pages, and the generator's configuration, which is data only. */
async function writeSource(): Promise<void> {
  const names = await files();
  const pages = new Set(names);
  const titles = new Map<string, string>();
  const draw = await diagramRenderer();
  for (const name of names) {
    const text = await readFile(join(projectRoot, name), "utf8");
    const title = /^# (.*)$/m.exec(text)?.[1];
    const own = /^docs\/(.*)\.md$/.exec(name)?.[1];
    if (own !== undefined) titles.set(own, title ?? own);
    const page = join(source, pageOf(name));
    if (name.endsWith(".hcl")) {
      await write(page, examplePage(basename(name), text));
      continue;
    }
    const drawn = withDiagrams(text, basename(name, ".md"), draw);
    for (const picture of drawn.pictures) await write(join(dirname(page), picture.name), picture.svg);
    await write(page, withSiteLinks(drawn.text, name, pages));
  }
  await cp(join(projectRoot, "docs/assets"), join(source, "docs/assets"), { recursive: true });
  const config = {
    title: "nomad-driver-nspawn",
    description: "A HashiCorp Nomad task driver for systemd-nspawn containers",
    cleanUrls: true,
    markdown: { attrs: { disable: true } },
    themeConfig: { sidebar: navigation(titles), search: { provider: "local" }, outline: { level: [2, 3] } },
  };
  const text = `const config = ${JSON.stringify(config, undefined, 2)};
config.markdown.anchor = { slugify: ${anchorOf.toString()} };
export default config;
`;
  await write(join(source, ".vitepress/config.mjs"), text);
}

/** The files with pages, from the repository's root. */
async function files(): Promise<readonly string[]> {
  const below = async (directory: string, end: RegExp) =>
    (await readdir(join(projectRoot, directory)))
      .filter((name) => end.test(name))
      .map((name) => `${directory}/${name}`);
  const top = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
  return [...top, ...(await below("docs", /\.md$/)), ...(await below("examples", /\.(?:md|hcl)$/))].toSorted();
}

async function write(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}
