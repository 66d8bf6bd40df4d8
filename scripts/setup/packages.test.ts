import { expect, test } from "bun:test";
import { missingPackages } from "./packages";

test("tells installed packages from those that are not", async () => {
  expect(await missingPackages(["dpkg", "no-such-package-anywhere", "base-files"])).toEqual([
    "no-such-package-anywhere",
  ]);
});
