import { expect, test } from "bun:test";
import fc from "fast-check";
import { cpuMs, fuzz, textLike } from "../../test/support/fuzz";
import { findUser } from "./passwd";

const passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n";
const group = "root:x:0:\napp:x:1000:\nwheel:x:10:root,app\n";
const names = fc.oneof(
  fc.constantFrom("root", "app", "0", "1000", "app:wheel", "7:", ":", "4294967295"),
  fc.string({ maxLength: 20 }),
);

test("users are found or not, and have IDs that a process can have", () => {
  fuzz(
    fc.tuple(names, textLike(passwd), textLike(group)),
    ([name, users, groups]) => {
      const found = findUser(name, users, groups);
      for (const id of found === undefined ? [] : [found.uid, found.gid, ...found.groups]) {
        expect(Number.isInteger(id) && id >= 0 && id <= 0xffff_fffe).toBe(true);
      }
    },
    [],
    5_000,
  );
});

test("files of 4 MiB are parsed quickly", () => {
  const begin = cpuMs();
  findUser("nobody", "user:x:1:1::/:\n".repeat(200_000), "group:x:1:a,b,c\n".repeat(200_000));
  findUser("app", "app:x:1:1::/:", `a:x:1:${"b,".repeat(2_000_000)}`);
  expect(cpuMs() - begin).toBeLessThan(2_000);
});
