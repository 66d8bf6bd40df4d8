import { expect, test } from "bun:test";
import { refusalOf } from "./inside-setup";

test.each([
  [2, "the kernel of this client has no such setting in a container"],
  [22, "the kernel refuses this value"],
  [1, "it can be read only in a container"],
  [12, "ENOMEM: not enough memory"],
])("a setting that the kernel refuses with %i", (errno, reason) => {
  expect(refusalOf({ name: "net.core.somaxconn", value: "a b" }, errno)).toBe(
    `Option sysctl["net.core.somaxconn"] = "a b" cannot be set: ${reason}.`,
  );
});
