/** Where a command prints. */
export interface Terminal {
  /** Results. */
  out(text: string): void;
  /** Diagnostics. */
  err(text: string): void;
  /** Whether results go to a terminal that supports colours. */
  readonly colours: boolean;
}

/** The process's own terminal; NO_COLOR (no-color.org) turns colours off. */
export function processTerminal(): Terminal {
  return {
    out: (text) => {
      process.stdout.write(text);
    },
    err: (text) => {
      process.stderr.write(text);
    },
    colours: process.stdout.isTTY === true && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb",
  };
}

/** Colours, as SGR parameters. */
const sgr = { green: "32", yellow: "33", red: "31", dim: "2", bold: "1" } as const;

/** Colours a text if the terminal supports colours. */
export function paint(terminal: Pick<Terminal, "colours">, colour: keyof typeof sgr, text: string): string {
  return terminal.colours ? `\x1b[${sgr[colour]}m${text}\x1b[0m` : text;
}
