import { expect, test } from "bun:test";
import { credentialFileProblem, credentialNameProblem, credentialProblem, MOST_CREDENTIAL_BYTES } from "./credentials";

test.each([
  ["passwd.hashed-password.root", true],
  ["systemd.unit-dropin.web.service~10", true],
  ["", false],
  ["..", false],
  ["a/b", false],
  ["a:b", false],
  ["a b", false],
  ["ä", false],
  ["x".repeat(256), false],
])("whether %j is a name of a credential: %p", (name, valid) => {
  expect(credentialNameProblem(name) === undefined).toBe(valid);
});

test.each([
  ["secrets/password", true],
  ["password", true],
  ["", false],
  ["/etc/shadow", false],
  ["../other/secrets/x", false],
  ["secrets/../../x", false],
])("whether %j is a file of the task: %p", (path, valid) => {
  expect(credentialFileProblem(path) === undefined).toBe(valid);
});

test("a credential has at most 1 MiB", () => {
  expect(credentialProblem("x".repeat(MOST_CREDENTIAL_BYTES))).toBeUndefined();
  expect(credentialProblem("x".repeat(MOST_CREDENTIAL_BYTES + 1))).toBe("it must have at most 1 MiB");
});
