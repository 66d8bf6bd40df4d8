import { expect, test } from "bun:test";
import { certain } from "./promises";

test("a promise that cannot reject yields its value, or a fallback instead of an error", async () => {
  expect(await certain(Promise.resolve(1), () => 2)).toBe(1);
  expect(await certain(Promise.reject(new Error("x")), String)).toBe("Error: x");
});
