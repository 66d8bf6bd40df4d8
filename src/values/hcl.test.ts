import { describe, expect, test } from "bun:test";
import { type HclBody, type HclValue, parseHcl } from "./hcl";

/** As plain objects: a block is a list of its labels and its content. */
function plain(value: HclValue): unknown {
  if (typeof value !== "object") return value;
  if ("items" in value) return Object.fromEntries(value.items.map((item) => [item.name, shown(item)]));
  return value.map(plain);
}

function shown({ labels, value }: HclBody["items"][number]): unknown {
  return labels.length === 0 ? plain(value) : [...labels, plain(value)];
}

test.each([
  ["", {}],
  ["# only\n// comments\n/* of\n all kinds */", {}],
  ['a = 1\nb = -2.5 # c\nc = "x"\nd = true', { a: 1, b: -2.5, c: "x", d: true }],
  ["a = 0x1F", { a: 31 }],
  ['a = ["x", 1, [true],]', { a: ["x", 1, [true]] }],
  ["a = []", { a: [] }],
  ['a = { "docker.io" = ["m/hub"], x = 1 }', { a: { "docker.io": ["m/hub"], x: 1 } }],
  ['a { b { c = "d" } }', { a: { b: { c: "d" } } }],
  ['plugin "nspawn" { config { enabled = false } }', { plugin: ["nspawn", { config: { enabled: false } }] }],
  ['"plugin" "nspawn" {}', { plugin: ["nspawn", {}] }],
  ['plugin nspawn "x" {}', { plugin: ["nspawn", "x", {}] }],
  ['a = "\\"q\\" \\n \\u00e9 \\\\"', { a: '"q" \n é \\' }],
  [`a = "\${env["X"]} y"`, { a: `\${env["X"]} y` }],
  ["a = <<EOF\n x\ny\nEOF\nb = 1", { a: " x\ny\n", b: 1 }],
  ["a = <<-EOF\n   x\n    y\n   EOF\nb = 1", { a: "x\n y\n", b: 1 }],
  ["\uFEFFa = 1\r\nb = 2\r\n", { a: 1, b: 2 }],
  ["a-b_c.d = 1", { "a-b_c.d": 1 }],
])("%j", (text, expected) => expect(plain(parseHcl(text))).toEqual(expected));

describe("refused with the line", () => {
  test.each([
    ["a = ", "a value is expected (line 1)"],
    ["a = yes", '"yes" is not a value (line 1)'],
    ["a {\n b = 1\n", "a } is missing (line 3)"],
    ["a = 1\n}", "it has a } too many (line 2)"],
    ['a "b"', 'an = or a block is expected after "a" (line 1)'],
    ["a = [1 2]", "a , or a ] is expected (line 1)"],
    ["a = <<EOF\nx\n", "the end EOF of a text is missing (line 3)"],
    ['a = "x', "a value is expected (line 1)"],
    ["a = 1.2.3", "a value is expected (line 1)"],
  ])("%p", (text, message) => expect(() => parseHcl(text)).toThrow(message));

  test("what is nested too deeply", () => {
    expect(() => parseHcl(`a = ${"[".repeat(1000)}`)).toThrow("its lists are nested too deeply (line 1)");
    expect(() => parseHcl("a {".repeat(1000))).toThrow("its blocks are nested too deeply (line 1)");
  });
});
