/** Work that runs at the same time, in a limited number of lanes. */

/**
 * Does all of the work, at most `count` pieces at once: each lane takes the next piece when it has finished one, in the given order.
 *
 * @throws the first error, after all lanes have ended
 */
export async function inLanes(count: number, work: readonly (() => Promise<void>)[]): Promise<void> {
  let next = 0;
  const lane = async () => {
    for (let piece = work[next++]; piece !== undefined; piece = work[next++]) await piece();
  };
  const results = await Promise.allSettled(Array.from({ length: count }, lane));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/**
 * A receiver of output that passes on whole lines with a name in front, without the empty ones, so that the output of several commands
 * remains readable.
 *
 * @param say receives each line
 */
export function namedLines(name: string, say: (line: string) => void) {
  const rest = { stdout: "", stderr: "" };
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  const show = (line: string) => {
    if (line.trim() !== "") say(`${name} | ${line}`);
  };
  return {
    take: (bytes: Uint8Array, from: "stdout" | "stderr") => {
      const lines = `${rest[from]}${decoders[from].decode(bytes, { stream: true })}`.split("\n");
      rest[from] = lines.pop() ?? "";
      for (const line of lines) show(line);
    },
    /** Shows what follows the last end of a line. */
    end: () => {
      for (const from of ["stdout", "stderr"] as const) {
        show(rest[from]);
        rest[from] = "";
      }
    },
  };
}
