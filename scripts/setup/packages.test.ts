import { expect, test } from "bun:test";
import { missingPackages } from "./packages";

test("distinguishes installed packages from others", async () => {
  expect(await missingPackages(["dpkg", "no-such-package-anywhere", "base-files"])).toEqual([
    "no-such-package-anywhere",
  ]);
});
