/** The documentation as a site: made as the workflow makes it, and every link followed. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectRoot } from "../../tools/build/project";
import { run } from "../../tools/command";

let site = "";
const pages = new Map<string, string>();
beforeAll(async () => {
  site = await mkdtemp(join(tmpdir(), "site-"));
  await run([process.execPath, "scripts/site.ts", "--out", site], { cwd: projectRoot });
  const names = await readdir(site, { recursive: true });
  for (const name of names.filter((each) => each.endsWith(".html"))) {
    pages.set(`/${name}`, await readFile(join(site, name), "utf8"));
  }
}, 300_000);
afterAll(() => rm(site, { recursive: true }));

/** The file that a server sends for a path of a clean URL. */
const fileOf = (path: string) => (path.endsWith("/") ? `${path}index.html` : `${path}.html`);

const decoded = (text: string) => text.replaceAll("&amp;", "&").replaceAll("&quot;", '"');

test("has a page for each document and each example", async () => {
  const docs = (await readdir(join(projectRoot, "docs"))).map((name) => `/docs/${name.replace(/\.md$/, ".html")}`);
  const examples = (await readdir(join(projectRoot, "examples"))).filter((name) => name.endsWith(".hcl"));
  const wanted = [...docs, ...examples.map((name) => `/examples/${name.replace(/\.hcl$/, ".html")}`)];
  expect([...wanted, "/index.html", "/CHANGELOG.html"].filter((name) => !pages.has(name))).toEqual([]);
});

test("no link leads to a page or a heading that does not exist", () => {
  const broken: string[] = [];
  let followed = 0;
  for (const [page, html] of pages) {
    if (page === "/404.html") continue;
    for (const [, href = ""] of html.matchAll(/<a [^>]*?href="([^"]*)"/g)) {
      if (/^[a-z]+:/.test(href)) continue;
      followed += 1;
      const [path = "", anchor = ""] = decoded(href).split("#");
      const target = path === "" ? html : pages.get(fileOf(path));
      const id = decodeURIComponent(anchor);
      if (target === undefined || (id !== "" && !target.includes(` id="${id}"`))) broken.push(`${page} → ${href}`);
    }
  }
  expect(broken).toEqual([]);
  expect(followed).toBeGreaterThan(500);
});

test("wide code is in a block of its own, which scrolls, so that no page does on a phone", () => {
  // Code that is indented instead of between fences has no such block.
  expect([...pages].flatMap(([page, html]) => (html.includes("<pre><code>") ? [page] : []))).toEqual([]);
});

test("no page has text that the generator took for its own", () => {
  // A job's {{ … }} would be gone, and a <NAME> would be an element.
  const template = pages.get("/examples/secret-template.html") ?? "";
  expect(template.replace(/<[^>]*>/g, "")).toContain("{{ with nomadVar");
});
