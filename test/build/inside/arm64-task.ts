/** Run by arm64.test.ts in a view in which the executable for arm64 can start containers. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { arm64Busybox } from "../../../tools/images/arm64";
import { type Fixture, openFixture, shell } from "../../protocol/fixture";

let bench: Fixture;
let image = "";
beforeAll(async () => {
  bench = await openFixture();
  image = await arm64Busybox();
}, 100_000);
afterAll(() => bench[Symbol.asyncDispose](), 100_000);

/** The host's kernel maps no owners of mounts for such a view. */
const shared = { user_namespacing: false } as const;

test("a task of a user prints, and ends with its exit code; its variables are passed on", async () => {
  const command = ["/usr/bin/env", "sh", "-c", "uname -m; id -u; echo $PLAIN; exit 7"];
  // A name with a dot is passed by a program of system calls for this CPU, which also switches to the user.
  const environment = { "discovery.type": "single-node", PLAIN: "text" };
  const task = { ...shell(image, "", { ...shared, command, environment }), user: "app" };
  expect(await bench.finished(task)).toMatchObject({ code: 7, signal: 0, stdout: "aarch64\n1000\ntext\n" });
});
