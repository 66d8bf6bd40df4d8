import { expect, test } from "bun:test";
import { oomArguments } from "./oom-message";

test("only PID 1's messages on this start of this unit count", () => {
  expect(oomArguments("u.service", { startedAt: 5_900_000 })).toEqual([
    "--since=@4",
    "--output=cat",
    "_PID=1",
    "MESSAGE_ID=fe6faa94e7774663a0da52717891d8ef",
    "UNIT=u.service",
  ]);
});
