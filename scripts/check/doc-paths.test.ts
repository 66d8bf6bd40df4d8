import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "../../tools/build/project";

/** Paths within the repository as docs name them: in a folder that it has, without placeholders such as NAME or "…". */
const PATH = /(?<![\w./])(?:src|test|scripts|tools|docs|gen|proto|bench|examples)\/[\w./-]*[\w/]/g;

/** Whether a path exists; tests may be named without their ending. */
const exists = (path: string) => ["", ".test.ts", ".ts"].some((ending) => existsSync(join(projectRoot, path + ending)));

const pages = ["*.md", "docs/*.md"].flatMap((glob) => [...new Bun.Glob(glob).scanSync(projectRoot)].sort());

describe("paths in the documentation", () => {
  test.each(pages)("%s names only paths that exist", async (page) => {
    const text = await Bun.file(join(projectRoot, page)).text();
    const named = [...new Set([...text.matchAll(PATH)].map(([path]) => path))];
    expect(named.filter((path) => !exists(path))).toEqual([]);
  });

  test.each(pages)("%s links only to files that exist", async (page) => {
    const text = await Bun.file(join(projectRoot, page)).text();
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link = ""]) => join(page, "..", link));
    expect(links.filter((link) => !exists(link))).toEqual([]);
  });
});
