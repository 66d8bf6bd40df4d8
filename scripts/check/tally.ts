/** Counts of passed and failed tests. */

/** Outcome of one level of the checks. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export const nothing: Tally = { passed: 0, failed: 0, skipped: 0 };

/** Sum of two outcomes. */
export function add(a: Tally, b: Tally): Tally {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}

/**
 * Outcome of a `bun test` run by its JUnit report and exit code. A file that cannot be loaded appears only in the exit code;
 * a run that wrote no report, or ran no test, counts as one failure.
 */
export function tallyOf(report: string | undefined, exitCode: number): Tally {
  const totals = /<testsuites [^>]*>/.exec(report ?? "")?.[0];
  if (totals === undefined) return { ...nothing, failed: 1 };
  const attribute = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(totals)?.[1] ?? 0);
  const skipped = attribute("skipped");
  const failures = attribute("failures");
  const ran = attribute("tests") - skipped;
  const failed = failures === 0 && (exitCode !== 0 || ran === 0) ? 1 : failures;
  return { passed: ran - failures, failed, skipped };
}

/** Tests of a level by file and name: those that ran, and those that were skipped. */
export interface TestNames {
  readonly ran: readonly string[];
  readonly skipped: readonly string[];
}

/** The tests of a JUnit report. */
export function testNames(report: string | undefined): TestNames {
  const ran: string[] = [];
  const skipped: string[] = [];
  for (const [, tag = "", rest = ""] of (report ?? "").matchAll(/<testcase ([^>]*)>([^<]*<skipped)?/g)) {
    const attribute = (name: string) => textOf(new RegExp(`(?:^| )${name}="([^"]*)"`).exec(tag)?.[1] ?? "");
    (rest === "" ? ran : skipped).push(`${attribute("file")}: ${attribute("classname")} > ${attribute("name")}`);
  }
  return { ran, skipped };
}

/** The files of a JUnit report that have a failed test, relative to the repository. */
export function failedFiles(report: string | undefined): readonly string[] {
  const failed = (report ?? "").matchAll(/<testcase ([^>]*[^/])>[^<]*<failure/g);
  const files = [...failed].map(([, tag = ""]) => textOf(/(?:^| )file="([^"]*)"/.exec(tag)?.[1] ?? ""));
  return [...new Set(files.filter((file) => file !== ""))];
}

/** The files of a JUnit report that took longest, with their seconds, the slowest first. */
export function slowestFiles(
  report: string | undefined,
  count: number,
): readonly (readonly [file: string, seconds: number])[] {
  const suites = (report ?? "").matchAll(/<testsuite name="([^"]*\.test\.ts)"[^>]* time="([\d.]+)"/g);
  const files = [...suites].map(([, file = "", seconds = ""]) => [textOf(file), Number(seconds)] as const);
  return files.toSorted((a, b) => b[1] - a[1]).slice(0, count);
}

/** Tests that were skipped in every level that has them: what they test, no level tested. */
export function neverRan(levels: readonly TestNames[]): readonly string[] {
  const ran = new Set(levels.flatMap((level) => level.ran));
  const skipped = new Set(levels.flatMap((level) => level.skipped));
  return [...skipped].filter((name) => !ran.has(name));
}

function textOf(attribute: string): string {
  const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return attribute.replace(/&(\w+);/g, (whole, name: string) => entities[name] ?? whole);
}

/** The exact last line of the output. */
export function lastLine({ passed, failed }: Tally): string {
  return `${passed} passed, ${failed} failed`;
}
