import { expect, test } from "bun:test";
import { STANDARD_DIRECTORIES, searchDirectories } from "./programs";

test("searchDirectories keeps the PATH's order, drops relative entries and duplicates", () => {
  expect(searchDirectories("/opt/x:bin::/usr/bin:/opt/x")).toEqual([
    "/opt/x",
    "/usr/bin",
    ...STANDARD_DIRECTORIES.filter((standard) => standard !== "/usr/bin"),
  ]);
  expect(searchDirectories(undefined)).toEqual(STANDARD_DIRECTORIES);
});
