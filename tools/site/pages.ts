/**
 * The documentation as a site. A *page* is a Markdown file of the repository, or an example job as a page of its own; the *source* is the
 * directory that the site's generator, VitePress, reads; its links lead to pages only.
 */

/** A file of the repository and its page: README.md of a directory is the directory's index. */
export function pageOf(path: string): string {
  if (path.endsWith(".hcl")) return path.replace(/\.hcl$/, ".md");
  return path.replace(/(^|\/)README\.md$/, "$1index.md");
}

/**
 * A page's text with its links to files of the repository leading to their pages. What is not part of the site becomes plain text.
 *
 * @param path of the page's file, from the repository's root
 * @param pages the files that have pages
 */
export function withSiteLinks(text: string, path: string, pages: ReadonlySet<string>): string {
  return outsideCode(text, (part) =>
    part.replace(/(!?)\[([^\][]*(?:\[[^\]]*\][^\][]*)*)\]\(([^)\s]+)\)/g, (whole, image, label, target) => {
      if (image === "!" || /^(?:[a-z]+:|#|\/\/)/.test(target)) return whole;
      const [file = "", anchor] = target.split("#");
      const found = [joined(path, file), `${joined(path, file)}/README.md`].find((each) => pages.has(each));
      if (found === undefined) return label;
      return `[${label}](/${pageOf(found)}${anchor === undefined ? "" : `#${anchor}`})`;
    }),
  );
}

/** A path that a link of a file names, from the repository's root. */
function joined(from: string, link: string): string {
  const parts = from.split("/").slice(0, -1);
  for (const part of link.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "." && part !== "") parts.push(part);
  }
  return parts.join("/");
}

/** Changes what is not code: blocks between fences, and what is between backticks. */
function outsideCode(text: string, change: (part: string) => string): string {
  return text
    .split(/(^ *```[^\n]*\n[\s\S]*?^ *```[^\n]*$)/m)
    .map((part, index) => (index % 2 === 1 ? part : change(part)))
    .join("");
}

/** The anchor of a heading, as GitHub makes it: links in the documentation work in both places. */
export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M}_\- ]/gu, "")
    .replaceAll(" ", "-");
}

/** The page of an example job. */
export function examplePage(name: string, hcl: string): string {
  return `# ${name}\n\n\`\`\`hcl\n${hcl.trimEnd()}\n\`\`\`\n`;
}

/** An entry of the navigation. */
export interface NavigationItem {
  readonly text: string;
  readonly link?: string;
  readonly items?: readonly NavigationItem[];
}

/** The order in which a reader needs the pages of docs/, by subject. */
const CHAPTERS: readonly (readonly [subject: string, names: readonly string[]])[] = [
  ["Start here", ["install", "support"]],
  ["Jobs", ["configuration", "images", "building-images", "networking", "logging", "options"]],
  ["Coming from elsewhere", ["migration", "upgrading-from-the-go-driver", "parity"]],
  [
    "Operations",
    ["operations", "troubleshooting", "metrics", "command-line", "security", "reliability", "performance"],
  ],
  ["Inside", ["architecture", "development", "dependencies"]],
];

/**
 * The navigation beside each page.
 *
 * @param titles by the names of the files in docs/
 * @throws Error if a page has no chapter, or a chapter names no page
 */
export function navigation(titles: ReadonlyMap<string, string>): readonly NavigationItem[] {
  const placed = CHAPTERS.flatMap(([, names]) => names);
  const lost = [...titles.keys()].filter((name) => !placed.includes(name));
  const missing = placed.filter((name) => !titles.has(name));
  if (lost.length + missing.length > 0) {
    throw new Error(
      `Chapters of tools/site/pages.ts: without a chapter ${lost.join(", ")}; without a page ${missing.join(", ")}.`,
    );
  }
  const chapters = CHAPTERS.map(([text, names]) => ({
    text,
    items: names.map((name) => ({ text: titles.get(name) ?? name, link: `/docs/${name}` })),
  }));
  const more = [
    { text: "Examples", link: "/examples/" },
    { text: "Changes", link: "/CHANGELOG" },
  ];
  return [{ text: "Overview", link: "/" }, ...chapters, { text: "More", items: more }];
}
