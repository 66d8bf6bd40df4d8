import { expect, test } from "bun:test";
import { releaseNotes } from "./notes";

const changelog =
  "# Changelog\n\n## [Unreleased]\n\n- later\n\n## [0.2.0] - 2026-11-27\n\n### Added\n\n- new\n\n## [0.1.0] - 2026-11-24\n\n- first\n";

test("the section of a version", () => {
  expect(releaseNotes(changelog, "0.2.0")).toBe("### Added\n\n- new\n");
  expect(releaseNotes(changelog, "0.1.0")).toBe("- first\n");
});

test.each([
  ["0.3.0", /no section "## \[0\.3\.0\]"/],
  ["Unreleased", /has no date/],
])("version %s cannot be released", (version, message) => {
  expect(() => releaseNotes(changelog, version)).toThrow(message);
});
