/** The documentation as a site: made as the workflow makes it, every link followed, and every page looked at in a browser. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { distDir, projectRoot } from "../../tools/build/project";
import { type BrowserPage, startBrowser } from "../support/browser";
import { type BuiltSite, buildSite, fileOf } from "./built-site";

/** A page with every fault that the browser looks for. */
const FAULTY = `<title>faulty</title><div id="app"><h1 style="width:2000px">Wide</h1></div><script src="/no-such.js"></script>
<script>document.querySelector("#app").__vue_app__ = {}; console.error("a fault");</script>`;

let site: BuiltSite;
const pages = new Map<string, string>();
beforeAll(async () => {
  site = await buildSite({ "/faulty": FAULTY });
  for (const name of site.pages) pages.set(name, await readFile(join(site.directory, name), "utf8"));
}, 300_000);
afterAll(() => site[Symbol.asyncDispose]());

const decoded = (text: string) => text.replaceAll("&amp;", "&").replaceAll("&quot;", '"');

test("has a page for each document and each example", async () => {
  const texts = (await readdir(join(projectRoot, "docs"))).filter((name) => name.endsWith(".md"));
  const docs = texts.map((name) => `/docs/${name.replace(/\.md$/, ".html")}`);
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

test("diagrams are pictures", () => {
  expect([...pages].flatMap(([page, html]) => (html.includes('class="language-mermaid"') ? [page] : []))).toEqual([]);
  const architecture = pages.get("/docs/architecture.html") ?? "";
  expect([...architecture.matchAll(/<img src="[^"]*\.svg" alt="(Diagram: [^"]*)"/g)].map(([, alt]) => alt)).toEqual([
    "Diagram: Layers",
    "Diagram: A task&#39;s way",
  ]);
});

test("no page has text that the generator took for its own", () => {
  // A job's {{ … }} would be gone, and a <NAME> would be an element.
  const template = pages.get("/examples/secret-template.html") ?? "";
  expect(template.replace(/<[^>]*>/g, "")).toContain("{{ with nomadVar");
});

/** Screen widths in CSS pixels: a phone's and a desktop's. */
const WIDTHS = [390, 1440] as const;

/** True in the page once its program has taken over from the HTML; what goes wrong then is on the console. */
const MOUNTED = `new Promise((resolve) => {
  const check = () => (document.querySelector("#app")?.__vue_app__ ? resolve(true) : requestAnimationFrame(check));
  check();
})`;

/** How a page fits its screen: what is wider than it, if the page scrolls, and whether its first heading is visible. */
const FIT = `(() => {
  const { scrollWidth, clientWidth } = document.documentElement;
  const heading = document.querySelector("h1")?.getBoundingClientRect();
  const wide = [...document.querySelectorAll("#app *")].filter((each) => each.getBoundingClientRect().right > clientWidth + 1);
  return {
    wide: scrollWidth > clientWidth ? wide.slice(0, 3).map((each) => each.outerHTML.slice(0, 200)) : [],
    heading: heading !== undefined && heading.width > 0 && heading.height > 0 && heading.right <= clientWidth + 1,
  };
})()`;

describe("in a browser", () => {
  const screenshots = join(distDir, "site-screenshots");
  let browser: BrowserPage;
  beforeAll(async () => {
    await rm(screenshots, { recursive: true, force: true });
    await mkdir(screenshots, { recursive: true });
    browser = await startBrowser();
  }, 300_000);
  afterAll(() => browser[Symbol.asyncDispose]());

  /** Shows a page at both widths, keeps what the screens showed; returns what is wrong with it. */
  async function looked(path: string): Promise<readonly string[]> {
    const problems = [...(await browser.open(new URL(path, site.url).href))];
    await browser.evaluate(MOUNTED);
    const name = path.slice(1).replaceAll("/", "-") || "index";
    for (const width of WIDTHS) {
      await browser.resize(width);
      const fit = await browser.evaluate(FIT);
      if (!Bun.deepEquals(fit, { wide: [], heading: true })) problems.push(`${width} px: ${JSON.stringify(fit)}`);
      await writeFile(join(screenshots, `${name}-${width}.jpeg`), await browser.screenshot());
    }
    return problems.map((problem) => `${path}: ${problem}`);
  }

  test("every page fits a phone's and a desktop's screen, without an error on its console or a failed request", async () => {
    const names = [...pages.keys()].filter((name) => name !== "/404.html");
    const problems: string[] = [];
    for (const name of names) problems.push(...(await looked(name.replace(/(index)?\.html$/, ""))));
    expect(problems).toEqual([]);
    expect(names.length).toBeGreaterThan(50);
  }, 600_000);

  test("a page that does not fit, or reports an error, is found", async () => {
    const problems = (await looked("/faulty")).join("\n");
    expect(problems).toContain("/no-such.js: status 404");
    expect(problems).toContain("a fault");
    expect(problems).toMatch(/390 px: .*Wide.*\n.*1440 px: .*Wide/);
    for (const width of WIDTHS) await rm(join(screenshots, `faulty-${width}.jpeg`));
  });

  test("the search finds an option's heading without a server", async () => {
    await browser.resize(1440);
    await browser.open(site.url.href);
    await browser.evaluate(MOUNTED);
    await browser.evaluate(`document.querySelector(".VPNavBarSearch button").click()`);
    const until = (selector: string) => `new Promise((resolve) => {
      const check = () => {
        const found = document.querySelector(${JSON.stringify(selector)});
        if (found) resolve(found.getAttribute("href") ?? "");
        else requestAnimationFrame(check);
      };
      check();
    })`;
    await browser.evaluate(until(".VPLocalSearchBox input:focus"));
    await browser.type("storage_limit");
    expect(await browser.evaluate(until(".VPLocalSearchBox a.result"))).toStartWith("/docs/");
  }, 60_000);
});
