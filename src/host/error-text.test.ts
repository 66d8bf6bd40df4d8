import { expect, test } from "bun:test";
import { errorText } from "./error-text";

test("errorText takes the message of an error and the text of anything else", () => {
  expect(errorText(new Error("no"))).toBe("no");
  expect(errorText("plain")).toBe("plain");
});
