import { expect, test } from "bun:test";
import { unimplementedHeaders } from "./go-plugin-services";

test.each([
  ["/a.Service/Method", "unknown%20method%20%2Fa.Service%2FMethod"],
  ["/ä%\n", "unknown%20method%20%2F%C3%A4%25%0A"],
])("%s is answered with status 12 in a header block", (path, message) => {
  expect(unimplementedHeaders(path)).toEqual({
    ":status": 200,
    "content-type": "application/grpc",
    "grpc-status": "12",
    "grpc-message": message,
  });
});

test("a long path is cut", () => {
  expect(String(unimplementedHeaders(`/${"x".repeat(10_000)}`)["grpc-message"]).length).toBeLessThan(300);
});
