/** Progress of the demo's steps for a person. */

/** A finished step. */
export interface Measured {
  readonly title: string;
  readonly seconds: number;
}

/** Shows a line about the progress within a step. */
export type Say = (line: string) => void;

const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"] as const;
const frameMs = 100;
const eraseLine = "\r\x1b[2K";

/** Shows steps: an updated line on a terminal, plain lines elsewhere. */
export class Progress {
  readonly #done: Measured[] = [];
  readonly #terminal = process.stdout.isTTY === true;

  /** The steps so far, in order. */
  get done(): readonly Measured[] {
    return this.#done;
  }

  /** Runs a step; its messages are shown next to its title while it runs. */
  async step<T>(title: string, work: (say: Say) => Promise<T>): Promise<T> {
    const start = performance.now();
    const seconds = () => (performance.now() - start) / 1000;
    const stop = this.#terminal ? this.#animate(title, seconds) : { say: this.#plain(title), end: () => {} };
    try {
      const result = await work(stop.say);
      stop.end();
      console.log(`✓ ${title}  ${dim(`${seconds().toFixed(1)} s`)}`);
      return result;
    } catch (error) {
      stop.end();
      console.log(`✗ ${title}  ${dim(`${seconds().toFixed(1)} s`)}`);
      throw error;
    } finally {
      this.#done.push({ title, seconds: seconds() });
    }
  }

  #plain(title: string): Say {
    console.log(`… ${title}`);
    return (line) => console.log(`    ${line}`);
  }

  #animate(title: string, seconds: () => number): { say: Say; end: () => void } {
    let frame = 0;
    let said = "";
    const draw = (): void => {
      frame += 1;
      const line = `${frames[frame % frames.length]} ${title}  ${seconds().toFixed(0)} s  ${said}`;
      process.stdout.write(`${eraseLine}${line.slice(0, (process.stdout.columns ?? 80) - 1)}`);
    };
    const timer = setInterval(draw, frameMs);
    return {
      say: (line) => {
        said = line;
      },
      end: () => {
        clearInterval(timer);
        process.stdout.write(eraseLine);
      },
    };
  }
}

/** Dimmed text on a terminal. */
export function dim(text: string): string {
  return process.stdout.isTTY === true ? `\x1b[2m${text}\x1b[0m` : text;
}
