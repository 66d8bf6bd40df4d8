import { expect, test } from "bun:test";
import { withDiagrams } from "./diagrams";

const page = "# A page\n\n## The `way`\n\n```mermaid\nflowchart TB\n  a --> b\n```\n\nText.\n\n```sh\nls\n```\n";
const draw = (diagram: string) =>
  `<svg>\n<style>\n  @import url('https://fonts.example/a;b');\n</style>${diagram}</svg>`;

test("a diagram becomes a picture beside the page, which asks no other server", () => {
  expect(withDiagrams(page, "page", draw)).toEqual({
    text: "# A page\n\n## The `way`\n\n![Diagram: The way](./page-1.svg)\n\nText.\n\n```sh\nls\n```\n",
    pictures: [{ name: "page-1.svg", svg: "<svg>\n<style>\n</style>flowchart TB\n  a --> b\n</svg>" }],
  });
});

test("a page without one stays as it is", () => {
  expect(withDiagrams("# A page\n", "page", draw)).toEqual({ text: "# A page\n", pictures: [] });
});
