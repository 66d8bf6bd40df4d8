import * as v from "valibot";
import type { Step, TimedLine } from "./transcript";

/** A recording in asciinema's format, asciicast v2 (docs.asciinema.org/manual/asciicast/v2). */
export interface Cast {
  /** Columns and lines of the terminal. */
  readonly width: number;
  readonly height: number;
  readonly title: string;
  /** What the terminal printed, and when, in seconds. */
  readonly events: readonly TimedLine[];
}

/** The files of the README's recording, from the repository's root; made by scripts/recording.ts. */
export const RECORDING = { cast: "docs/assets/first-job.cast", svg: "docs/assets/first-job.svg" } as const;

/** Seconds between the prompt and the command, as of a quick typist; before the next prompt; and at most between lines of output. */
const TYPING = 0.8;
const READING = 1.4;
const LONGEST_WAIT = 1;
const PROMPT = "$ ";
const CONTINUED = "> ";

/** The recording of steps; the time in which nothing is printed is shortened. Pure. */
export function castOf(steps: readonly Step[], size: Pick<Cast, "width" | "height" | "title">): Cast {
  const events: TimedLine[] = [];
  let at = 0;
  for (const step of steps) {
    events.push({ at, text: PROMPT });
    at += TYPING;
    events.push({ at, text: step.command.map((line) => `${line}\r\n`).join(CONTINUED) });
    let before = step.at;
    for (const line of step.output) {
      at += Math.min(Math.max(line.at - before, 0), LONGEST_WAIT);
      before = line.at;
      events.push({ at, text: `${line.text.replaceAll("\r", "")}\r\n` });
    }
    at += step.output.length === 0 ? TYPING / 2 : READING;
  }
  return { ...size, events: joined(events) };
}

/** Events of the same time as one. */
function joined(events: readonly TimedLine[]): readonly TimedLine[] {
  const result: TimedLine[] = [];
  for (const { at: exact, text } of events) {
    const at = Math.round(exact * 100) / 100;
    const last = result.at(-1);
    if (last?.at === at) result[result.length - 1] = { at, text: last.text + text };
    else result.push({ at, text });
  }
  return result;
}

/** The file of a recording. Pure. */
export function castText({ width, height, title, events }: Cast): string {
  const header = { version: 2, width, height, title, env: { SHELL: "/bin/sh", TERM: "xterm-256color" } };
  return [header, ...events.map(({ at, text }) => [at, "o", text])].map((line) => `${JSON.stringify(line)}\n`).join("");
}

const header = v.object({ version: v.literal(2), width: v.number(), height: v.number(), title: v.string() });
const event = v.tuple([v.number(), v.literal("o"), v.string()]);

/**
 * The recording in a file.
 *
 * @throws Error if it is not one
 */
export function parseCast(text: string): Cast {
  const [first, ...rest] = text.trimEnd().split("\n");
  const { width, height, title } = v.parse(header, JSON.parse(first ?? ""));
  const events = rest.map((line) => v.parse(event, JSON.parse(line)));
  return { width, height, title, events: events.map(([at, , data]) => ({ at, text: data })) };
}

/** The steps in a recording of this format's {@link castOf}. Pure. */
export function stepsIn({ events }: Cast): readonly Pick<Step, "command" | "output">[] {
  const steps: { command: string[]; output: TimedLine[] }[] = [];
  const lines = events
    .map(({ text }) => text)
    .join("")
    .replaceAll("\r", "")
    .trimEnd()
    .split("\n");
  for (const text of lines) {
    const step = steps.at(-1);
    if (text.startsWith(PROMPT)) steps.push({ command: [text.slice(PROMPT.length)], output: [] });
    else if (text.startsWith(CONTINUED) && step?.output.length === 0) step.command.push(text.slice(CONTINUED.length));
    else step?.output.push({ at: 0, text });
  }
  return steps;
}
