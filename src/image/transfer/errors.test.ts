import { expect, test } from "bun:test";
import { networkError, statusError } from "./errors";

const subject = { name: 'image "a"', host: "registry.example" };

/** Codes thrown by fetch() of bun 1.4.5. */
test.each([
  ["ENOTFOUND", "name", true, false],
  ["EAI_AGAIN", "name", true, true],
  ["ECONNREFUSED", "connection", true, true],
  ["ECONNRESET", "connection", true, true],
  ["EHOSTUNREACH", "connection", true, true],
  ["ETIMEDOUT", "timeout", true, true],
  ["EPROTO", "certificate", false, false],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", "certificate", false, false],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "certificate", false, false],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "certificate", false, false],
  ["CERT_HAS_EXPIRED", "certificate", false, false],
  ["ERR_TLS_CERT_ALTNAME_INVALID", "certificate", false, false],
] as const)("%s is a problem of %s", (code, problem, recoverable, retryable) => {
  const error = networkError(subject, Object.assign(new TypeError("words"), { code }));
  expect(error).toMatchObject({ problem, recoverable, retryable: retryable });
  expect(error.message).toStartWith('Image "a" could not be fetched: ');
  expect(error.message).toContain("registry.example");
});

test.each([
  [401, "unauthorized", false],
  [403, "unauthorized", false],
  [404, "not found", false],
  [408, "timeout", true],
  [410, "not found", false],
  [416, "server", true],
  [429, "rate limited", true],
  [400, "server", false],
  [500, "server", true],
  [503, "server", true],
] as const)("status %d: %s", (status, problem, recoverable) => {
  expect(statusError(subject, status)).toMatchObject({ problem, recoverable, retryable: recoverable });
});
