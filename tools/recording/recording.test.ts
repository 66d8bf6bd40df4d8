import { describe, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { projectRoot } from "../build/project";
import { castOf, castText, parseCast, RECORDING, stepsIn } from "./cast";
import { castSvg } from "./svg";
import { commandsOf, linesOf, steadyPart, stepsOf } from "./transcript";

const SCRIPT = "mkdir x\n\ncat > x/f <<'END'\nline\n\nEND\ncat x/f\n";
/** What `sh -v` prints of it. */
const PRINTED = ["mkdir x", "", "cat > x/f <<'END'", "line", "", "END", "cat x/f", "line", "", "1 < 2", ""];
const SIZE = { width: 20, height: 4, title: "A & B" };
const printed = PRINTED.map((text, index) => ({ at: index, text }));
const cast = castOf(stepsOf(SCRIPT, printed), SIZE);

describe("a transcript", () => {
  test("has a command on each line, or on several with a here-document", () => {
    expect(commandsOf(SCRIPT)).toEqual([["mkdir x"], ["cat > x/f <<'END'", "line", "", "END"], ["cat x/f"]]);
  });

  test("has the output of each command, without empty lines around it", () => {
    const outputs = stepsOf(SCRIPT, printed).map(({ output }) => output.map(({ text }) => text));
    expect(outputs).toEqual([[], [], ["line", "", "1 < 2"]]);
  });

  test("needs every command", () => {
    expect(() => stepsOf("mkdir y\n", printed)).toThrow('The shell did not read "mkdir y".');
  });

  test("has lines, however the output arrives", () => {
    const pieces = ["a", "b\nc\n", "d"].map((text, at) => ({ at, text }));
    expect(linesOf(pieces)).toEqual([
      { at: 1, text: "ab" },
      { at: 1, text: "c" },
      { at: 2, text: "d" },
    ]);
  });

  test.each([
    ["Monitoring evaluation 265ab962", "Monitoring evaluation ID"],
    ["debian-18a1bec5-0b6f-87dd-62b2-edb62f2cd604", "debian-ID"],
    ["a      true  2026-11-27T04:56:08Z", "a true TIME"],
    ["Startup finished in 774ms.", "Startup finished in DURATION."],
    ["No errors, 2 warnings.", "No errors"],
  ])("is compared without what differs each time: %s", (text, steady) => {
    expect(steadyPart({ command: ["x"], output: [{ at: 0, text }] })).toBe(`x\n${steady}`);
  });
});

describe("a cast", () => {
  test("has waits of a second at most, and is read as it was written", () => {
    expect(cast.events.map(({ text }) => text).join("")).toBe(
      "$ mkdir x\r\n$ cat > x/f <<'END'\r\n> line\r\n> \r\n> END\r\n$ cat x/f\r\nline\r\n\r\n1 < 2\r\n",
    );
    expect(cast.events.at(-1)?.at).toBeLessThan(8);
    expect(parseCast(castText(cast))).toEqual(cast);
    expect(stepsIn(cast).map(({ command }) => command)).toEqual(commandsOf(SCRIPT).map((lines) => [...lines]));
  });

  test("is drawn with the end as its state without animation", () => {
    const svg = castSvg(cast);
    expect(svg).toContain("<title>A &amp; B</title>");
    expect(svg).toContain(">1 &lt; 2</text>");
    // Nine lines on a terminal of four.
    expect(svg).toContain("#s{transform:translateY(-85px)}#h{transform:translateY(153px)}");
    expect(svg).toContain(`@keyframes h{0.00%{transform:translateY(0px)}`);
  });

  test("wraps lines at the terminal's width", () => {
    const long = castSvg({ ...SIZE, events: [{ at: 0, text: `${"x".repeat(25)}\n` }] });
    expect([...long.matchAll(/<text[^>]*>([^<]*)</g)].map(([, text]) => text)).toEqual(["x".repeat(20), "xxxxx"]);
  });
});

test("the picture in the README is that of the recording", async () => {
  const text = await readFile(join(projectRoot, RECORDING.cast), "utf8");
  expect(await readFile(join(projectRoot, RECORDING.svg), "utf8")).toBe(castSvg(parseCast(text)));
});
