import { test } from "bun:test";
import { fuzz, jsonLike } from "../../../test/support/fuzz";
import { CredentialsError, findCredentials } from "./credentials";

const good = {
  auths: {
    "registry.example": { auth: Buffer.from("user:password").toString("base64") },
    "https://index.docker.io/v1/": { username: "user", password: "password", identitytoken: "token" },
  },
  credHelpers: { "registry.example": "pass" },
  credsStore: "desktop",
};

test("Docker's config.json is parsed or rejected, whatever it contains", () => {
  for (const registry of ["registry.example", "docker.io", "__proto__", "constructor"]) {
    fuzz(
      jsonLike(good, { auths: good.auths }),
      (text) => findCredentials(text, { registry, repository: "team/app" }, "/file"),
      [CredentialsError],
      1_000,
    );
  }
});
