import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { bodyValue, isOpen, scopeOf } from "./evaluate";
import { parseHcl } from "./parse";
import { HclError } from "./tokens";

function valuesIn(text: string, given: Record<string, string> = {}) {
  const body = parseHcl(text);
  return bodyValue({ attributes: body.attributes, blocks: [] }, scopeOf(body, given));
}

describe("values", () => {
  test.each<[string, unknown]>([
    ['a = "b"', "b"],
    ["a = 1.5", 1.5],
    ["a = -3", -3],
    ["a = true # no", true],
    ["a = null", null],
    [String.raw`a = "\"\\\n\u00e4"`, '"\\\nä'],
    ["a = [1, 2,\n 3,\n]", [1, 2, 3]],
    ['a = {\n b = 1\n "c/d" : "e", f = [] }', { b: 1, "c/d": "e", f: [] }],
    [`a = "$\${HOME} %%{x}"`, `\${HOME} %{x}`],
    ["a = <<EOT\none\n  two\nEOT\n", "one\n  two\n"],
    ["a = <<-EOT\n    one\n      two\n  EOT\n", "one\n  two\n"],
    ["/* a\nb */ a = 1 // c", 1],
    ['a = ("b")', "b"],
  ])("%j", (text, value) => {
    expect(valuesIn(text)).toEqual({ a: value });
  });

  test("of variables and locals, by default or given", () => {
    const text = [
      'variable "image" { default = "debian" }',
      'variable "tag" {\n type = string\n}',
      `locals {\n whole = "\${local.name}:\${var.tag}"\n name = "lan/\${var.image}"\n}`,
      "a = local.whole",
    ].join("\n");
    expect(valuesIn(text, { tag: "12" })).toEqual({ a: "lan/debian:12" });
    expect(valuesIn(text)).toEqual({ a: "lan/debian:x" });
  });

  test.each([
    'a = upper("b")',
    "a = 1 + 2",
    "a = var.none",
    'a = x ? "b" : "c"',
    "a = [for s in b : s]",
    "a = {for k, v in b : k => v}",
    "a = b[0].c",
    "a = !b",
    `a = "\${NOMAD_TASK_DIR}/b"`,
    `a = "\${upper("b}")}"`,
    `a = ["\${attr.x}"]`,
  ])("%j is open", (text) => {
    const body = parseHcl(text);
    expect(isOpen(body, scopeOf(body, {}))).toBe(true);
  });
});

test("blocks have their labels and lines", () => {
  const { blocks } = parseHcl('# first\njob "web" {\n  group "a" { count = 1 }\n  task "b" x {\n  }\n}\n');
  expect(blocks).toMatchObject([
    {
      ...{ type: "job", labels: ["web"], line: 2 },
      body: {
        blocks: [
          { type: "group", line: 3, body: { attributes: [{ name: "count", line: 3 }] } },
          { type: "task", labels: ["b", "x"], line: 4 },
        ],
      },
    },
  ]);
});

test.each([
  ["a = ", "Line 1: expected a value"],
  ['a = "b', "Line 1: a quoted text is not closed"],
  ["\n\na {", "Line 3: expected a name, not the end of the file"],
  ["a = 1 2", "Line 1: expected the end of the line"],
  ["a = <<EOT\nb", "Line 1: the heredoc EOT is not closed"],
  ["a = [1 2]", 'Line 1: expected ","'],
  ["}", "expected a name"],
  [`a = ${"[".repeat(200)}`, "more than 100 nested"],
  [`a = "\${b"`, "Line 1"],
  ["a = @", 'unexpected "@"'],
  [String.raw`a = "\q"`, "is no escape"],
])("%j is refused", (text, sentence) => {
  expect(() => parseHcl(text)).toThrow(HclError);
  expect(() => parseHcl(text)).toThrow(sentence);
});

test("every example is read", () => {
  const directory = join(import.meta.dir, "../../../examples");
  const files = readdirSync(directory).filter((name) => name.endsWith(".hcl"));
  expect(files.length).toBeGreaterThan(10);
  for (const name of files) {
    const { blocks } = parseHcl(readFileSync(join(directory, name), "utf8"));
    expect(blocks.length).toBeGreaterThan(0);
  }
});
