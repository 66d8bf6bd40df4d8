import { expect, test } from "bun:test";
import { anchorOf, examplePage, navigation, pageOf, withSiteLinks } from "./pages";

test.each([
  ["README.md", "index.md"],
  ["examples/README.md", "examples/index.md"],
  ["docs/images.md", "docs/images.md"],
  ["examples/boot.hcl", "examples/boot.md"],
])("the page of %s is %s", (path, page) => {
  expect(pageOf(path)).toBe(page);
});

const pages = new Set(["README.md", "docs/a.md", "docs/b.md", "examples/README.md", "examples/boot.hcl"]);

test.each([
  ["[b](b.md)", "[b](/docs/b.md)"],
  ["[b](b.md#some-part)", "[b](/docs/b.md#some-part)"],
  ["[own](#part)", "[own](#part)"],
  ["[up](../README.md)", "[up](/index.md)"],
  ["[job](../examples/boot.hcl)", "[job](/examples/boot.md)"],
  ["[jobs](../examples)", "[jobs](/examples/index.md)"],
  ["[`src`](../src/main.ts) and [b](b.md)", "`src` and [b](/docs/b.md)"],
  ["[out](https://example.com/b.md)", "[out](https://example.com/b.md)"],
  ["```md\n[b](b.md)\n```\n[b](b.md)", "```md\n[b](b.md)\n```\n[b](/docs/b.md)"],
])("links of a document: %j", (text, linked) => {
  expect(withSiteLinks(text, "docs/a.md", pages)).toBe(linked);
});

test.each([
  ["Where logs go", "where-logs-go"],
  ["`shm_size`", "shm_size"],
  ["Names in /etc/hosts", "names-in-etchosts"],
  ["GPUs, and other CDI devices", "gpus-and-other-cdi-devices"],
  ["[0.2.0] - 2026-11-26", "020---2026-11-26"],
])("the anchor of %j", (heading, anchor) => {
  expect(anchorOf(heading)).toBe(anchor);
});

test("an example is a page with the whole job", () => {
  expect(examplePage("boot.hcl", "# comment\njob {}\n")).toBe("# boot.hcl\n\n```hcl\n# comment\njob {}\n```\n");
});

test("a document without a chapter is an error, and so is a chapter without a document", () => {
  expect(() => navigation(new Map([["new", "New"]]))).toThrow("without a chapter new; without a page install");
});
