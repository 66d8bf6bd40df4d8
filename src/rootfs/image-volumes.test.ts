import { expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import { decodeTaskConfig } from "../config/task/decode";
import { parseImageConfig } from "../image/image-config";
import { imageVolumes, volumesInMemory } from "./image-volumes";

const options = (task: object) => decodeTaskConfig(encode({ image: "i", command: ["/c"], ...task }), () => true);
const config = (Volumes: unknown) =>
  parseImageConfig(JSON.stringify({ config: { Volumes }, rootfs: { diff_ids: [] } }), "i");

test.each<[string, unknown, object, readonly string[], readonly string[]]>([
  ["none", undefined, {}, [], []],
  ["null", null, {}, [], []],
  ["one", ["/data"], {}, [], ["/data"]],
  ["parents come first", ["/srv/a/b", "/srv/a"], {}, [], ["/srv/a", "/srv/a/b"]],
  ["odd spellings", ["//var//lib/./db/"], {}, [], ["/var/lib/db"]],
  ["where the job mounts", ["/data"], { bind: { "/srv": "/data" } }, [], []],
  ["below where the job mounts", ["/data/a", "/database"], { tmpfs: ["/data"] }, [], ["/database"]],
  ["below a mount of Nomad's", ["/alloc/data", "/data"], {}, ["/alloc"], ["/data"]],
])("volumes: %s", (_, volumes, task, mounts, paths) => {
  const declared = Array.isArray(volumes) ? Object.fromEntries(volumes.map((path) => [path, {}])) : volumes;
  const targets = mounts.map((target) => ({ target }));
  expect(imageVolumes(config(declared), options(task), targets)).toEqual({ paths, notes: [] });
});

test.each(["data", "/", "//.", "/a/../../etc", "/a\0b", "/a\nb", ""])("ignored with a note: %j", (volume) => {
  const { paths, notes } = imageVolumes(config({ [volume]: {} }), options({}), []);
  expect(paths).toEqual([]);
  expect(notes).toEqual([
    `The image's volume ${JSON.stringify(volume)} is ignored: it is not an absolute path below the root.`,
  ]);
});

test("volumes in memory are further tmpfs mounts", () => {
  const { tmpfs } = volumesInMemory(options({ tmpfs: ["/x:size=1M"] }), ["/data"]);
  expect(tmpfs).toEqual([
    { target: "/x", options: "size=1M" },
    { target: "/data", options: "mode=1777" },
  ]);
});
