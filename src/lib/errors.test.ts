import { expect, test } from "bun:test";
import { errorText } from "./errors";

test("errorText returns the message of an error and the text of any other value", () => {
  expect(errorText(new Error("no"))).toBe("no");
  expect(errorText("plain")).toBe("plain");
});
