import type { Cast } from "./cast";

/** Sizes in pixels of a character cell and around the terminal. */
const CELL = { width: 7.8, height: 17 } as const;
const MARGIN = 14;
/** Room beside the text within what is cut off: at its edge, a scaled picture would show traces of covered lines. */
const EDGE = 4;
/** Seconds for which the end stays before the recording begins anew. */
const LAST = 5;

/** What the terminal shows from a time on: its lines so far. */
interface Frame {
  readonly at: number;
  readonly lines: number;
}

/**
 * A recording as an animated picture: all lines below each other, moved up as a terminal scrolls, and a cover over those that are still to
 * come. Without animations, or for a reader who wants none, it shows the end. For output that is only appended. Pure.
 */
export function castSvg(cast: Cast): string {
  const { lines, frames } = layOut(cast);
  const size = { width: cast.width * CELL.width + 2 * MARGIN, height: cast.height * CELL.height + 2 * MARGIN };
  const seconds = (frames.at(-1)?.at ?? 0) + LAST;
  const percent = (at: number) => `${((at / seconds) * 100).toFixed(2)}%`;
  const keyframes = (shift: (lines: number) => number) =>
    frames.map((frame) => `${percent(frame.at)}{transform:translateY(${shift(frame.lines)}px)}`).join("");
  const scrolled = (count: number) => -Math.max(0, count - cast.height) * CELL.height;
  const covered = (count: number) => count * CELL.height;
  const all = lines.length;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" width="${size.width}" height="${size.height}" role="img">
<title>${escaped(cast.title)}</title>
<style>
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;fill:#d4d4d8;white-space:pre}
.c{fill:#fff;font-weight:600}
#s{transform:translateY(${scrolled(all)}px)}#h{transform:translateY(${covered(all)}px)}
@media (prefers-reduced-motion:no-preference){
#s{animation:s ${seconds.toFixed(2)}s step-end infinite}#h{animation:h ${seconds.toFixed(2)}s step-end infinite}
}
@keyframes s{${keyframes(scrolled)}}
@keyframes h{${keyframes(covered)}}
</style>
<rect width="100%" height="100%" rx="8" fill="#18181b"/>
<svg x="${MARGIN - EDGE}" y="${MARGIN}" width="${cast.width * CELL.width + 2 * EDGE}" height="${cast.height * CELL.height}">
<g id="s">
${lines.flatMap((line, index) => textLine(line, index)).join("\n")}
<rect id="h" width="100%" height="${all * CELL.height}" fill="#18181b"/>
</g>
</svg>
</svg>
`;
}

/** One line; its width is that of its cells, whatever font the reader has. */
function textLine(line: string, index: number): readonly string[] {
  const text = line.trimEnd();
  if (text === "") return [];
  const kind = /^[$>] /.test(text) ? ' class="c"' : "";
  const width = ([...text].length * CELL.width).toFixed(1);
  const y = (index + 0.75) * CELL.height;
  return [
    `<text${kind} x="${EDGE}" y="${y}" textLength="${width}" lengthAdjust="spacingAndGlyphs" xml:space="preserve">${escaped(text)}</text>`,
  ];
}

/** The lines of a terminal that only appends, wrapped at its width, and how many there are when. */
function layOut({ width, events }: Cast): { readonly lines: readonly string[]; readonly frames: readonly Frame[] } {
  const lines = [""];
  const frames: Frame[] = [];
  for (const { at, text } of events) {
    for (const character of text.replaceAll("\r", "").replaceAll("\t", "    ")) {
      const last = lines.length - 1;
      if (character === "\n") lines.push("");
      else if ([...(lines[last] ?? "")].length >= width) lines.push(character);
      else lines[last] += character;
    }
    // A line is shown once it is complete: a command appears when it is entered.
    frames.push({ at, lines: lines.length - 1 });
  }
  return { lines: lines.at(-1) === "" ? lines.slice(0, -1) : lines, frames };
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
