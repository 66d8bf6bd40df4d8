import { expect, test } from "bun:test";
import { redact } from "./redact";
import { taskOptions } from "./task/options";

test("secrets are hidden, and names of variables and credentials stay", () => {
  const options = {
    image: "registry.lan/web:1",
    environment: { TOKEN: "s3cret" },
    credentials: { "passwd.hashed-password.root": "$y$s3cret" },
    auth: { username: "ci", password: "s3cret" },
    image_download: { url: "https://user:s3cret@example.com/web.tar", type: "tar" },
    hostname: undefined,
  };
  const shown = redact(options, taskOptions);
  expect(shown).toEqual({
    image: "registry.lan/web:1",
    environment: { TOKEN: "(hidden)" },
    credentials: { "passwd.hashed-password.root": "(hidden)" },
    auth: { username: "(hidden)", password: "(hidden)" },
    image_download: { url: "(hidden)", type: "tar" },
  });
  expect(JSON.stringify(shown)).not.toContain("s3cret");
});
