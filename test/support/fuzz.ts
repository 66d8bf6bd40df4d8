/** Fuzzes parsers with malformed input: valid bytes and JSON with some changes. */

import { expect } from "bun:test";
import fc from "fast-check";

/** Limits of a parser: processor time and bytes of memory for one input, and bytes that it may keep of all of them. */
const LONGEST_MS = 1_000;
const MOST_MEMORY = 256 * 1024 * 1024;
const MOST_KEPT = 8 * 1024 * 1024;

/** NSPAWN_FUZZ_FACTOR: how many times as many inputs as usual, for a longer run. */
export const RUNS_FACTOR = Number(process.env["NSPAWN_FUZZ_FACTOR"] ?? 1);

/** Errors that a parser may throw. */
export type ErrorClass = abstract new (...args: never[]) => Error;

/** Bytes that are still in use. The resident memory cannot show that: on a busy machine garbage is collected later. */
function liveBytes(): number {
  Bun.gc(true);
  return process.memoryUsage().heapUsed;
}

/** Processor time of this process so far, in milliseconds; the time of day also passes while other processes run. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/**
 * Runs a parser on thousands of inputs: it may only throw its own errors, and may not take a second or 256 MiB for one of them, or keep 8 MiB
 * of all. A failure prints seed and input.
 */
export function fuzz<Input>(
  inputs: fc.Arbitrary<Input>,
  parse: (input: Input) => unknown,
  allowed: readonly ErrorClass[] = [],
  numRuns = 2_000,
): void {
  const before = liveBytes();
  const property = fc.property(inputs, (input) => {
    const resident = process.memoryUsage.rss();
    const begin = cpuMs();
    try {
      parse(input);
    } catch (error) {
      if (!allowed.some((one) => error instanceof one)) throw error;
    }
    expect(cpuMs() - begin).toBeLessThan(LONGEST_MS);
    expect(process.memoryUsage.rss() - resident).toBeLessThan(MOST_MEMORY);
  });
  fc.assert(property, { numRuns: numRuns * RUNS_FACTOR, verbose: true });
  expect(liveBytes() - before).toBeLessThan(MOST_KEPT);
}

/** Arbitrary bytes, and valid ones that are truncated, repeated or changed at some places. */
export function bytesLike(...good: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const change = fc.record({ at: fc.nat(), value: fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255)) });
  const changed = fc
    .record({
      seed: fc.constantFrom(...good),
      changes: fc.array(change, { maxLength: 8 }),
      end: fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
      times: fc.integer({ min: 1, max: 3 }),
    })
    .map(({ seed, changes, end, times }) => {
      const bytes = Buffer.concat(Array.from({ length: times }, () => seed));
      for (const { at, value } of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
      return new Uint8Array(bytes.subarray(0, Math.ceil(bytes.length * end)));
    });
  return fc.oneof({ weight: 4, arbitrary: changed }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 2048 }) });
}

/** The same as text, with arbitrary characters in addition. */
export function textLike(...good: readonly string[]): fc.Arbitrary<string> {
  const bytes = bytesLike(...good.map((text) => Buffer.from(text))).map((all) => Buffer.from(all).toString("utf8"));
  return fc.oneof(bytes, fc.string({ maxLength: 300, unit: "binary" }));
}

/** Arbitrary JSON, and a valid value in which some parts are replaced by arbitrary JSON; as text, which may be damaged. */
export function jsonLike(...good: readonly unknown[]): fc.Arbitrary<string> {
  const changed = fc
    .record({
      seed: fc.constantFrom(...good),
      odds: fc.array(fc.nat(99), { minLength: 40, maxLength: 40 }),
      others: fc.array(fc.jsonValue({ maxDepth: 3 }), { minLength: 1, maxLength: 4 }),
    })
    .map(({ seed, odds, others }) => {
      let place = 0;
      const change = (value: unknown): unknown => {
        place += 1;
        if ((odds[place % odds.length] ?? 0) < 4) return others[place % others.length];
        if (Array.isArray(value)) return value.map(change);
        if (typeof value !== "object" || value === null) return value;
        return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, change(part)]));
      };
      return JSON.stringify(change(seed));
    });
  const damaged = textLike(...good.map((value) => JSON.stringify(value)));
  return fc.oneof({ weight: 3, arbitrary: changed }, damaged, fc.json());
}
