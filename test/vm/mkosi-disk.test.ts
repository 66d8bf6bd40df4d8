/** mkosi's disk image: a partition table, whose partitions only this machine's kernel shows of a loop device. */

import { beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { systemTrees } from "../../tools/images/trees";
import { type Fixture, shell, useFixture } from "../protocol/fixture";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

let image = "";
beforeAll(async () => {
  image = join(await systemTrees(), "mkosi-disk.raw");
});

test("a command runs on it", async () => {
  const script =
    "/usr/bin/busybox echo $(/usr/bin/busybox id -u); echo kept > /etc/mark; test -e /etc/mark && echo written";
  expect(await bench.finished(shell(image, script))).toMatchObject({ code: 0, stdout: "0\nwritten\n" });
}, 240_000);

test("it boots, and powers itself off", async () => {
  const { config } = shell(image, "");
  const { command: _, ...more } = config;
  const end = await bench.finished({ config: { ...more, boot: true, volatile: "overlay" } });
  expect(end).toMatchObject({ code: 0, stdout: expect.stringMatching(/Finished .*says\.service/) });
}, 600_000);
