/**
 * The text of a version's section in a changelog of the form of Keep a Changelog, without its heading.
 *
 * @throws Error if the changelog has no such section, or the section has no date
 */
export function releaseNotes(changelog: string, version: string): string {
  const heading = `## [${version}]`;
  const lines = changelog.split("\n");
  const first = lines.findIndex((line) => line.startsWith(heading));
  if (first < 0) throw new Error(`CHANGELOG.md has no section "${heading}".`);
  if (!/ - \d{4}-\d{2}-\d{2}$/.test(lines[first] ?? "")) {
    throw new Error(`The section "${heading}" of CHANGELOG.md has no date: "${heading} - YYYY-MM-DD" is expected.`);
  }
  const next = lines.findIndex((line, index) => index > first && line.startsWith("## "));
  return `${lines
    .slice(first + 1, next < 0 ? undefined : next)
    .join("\n")
    .trim()}\n`;
}
