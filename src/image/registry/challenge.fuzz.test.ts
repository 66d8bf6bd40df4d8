import { expect, test } from "bun:test";
import { cpuMs, fuzz, textLike } from "../../../test/support/fuzz";
import { parseChallenge } from "./challenge";

const good = [
  'Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull"',
  'Basic realm="a \\"b\\" c", Bearer realm=x',
  "Negotiate, Basic",
];

test("WWW-Authenticate is parsed, whatever it contains", () => {
  fuzz(textLike(...good), parseChallenge, [], 5_000);
});

test.each(["a", "a ", 'a="', "a=", '\\"', ",", " ", 'a="b",', "a=b "])(
  "%j a hundred thousand times is parsed quickly",
  (part) => {
    const begin = cpuMs();
    for (const text of [part.repeat(100_000), `Bearer realm="${part.repeat(100_000)}`]) parseChallenge(text);
    expect(cpuMs() - begin).toBeLessThan(1_000);
  },
);
