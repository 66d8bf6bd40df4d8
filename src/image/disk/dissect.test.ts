import { expect, test } from "bun:test";
import { type DiskImage, dissectArguments } from "./dissect";

const always = ["--mount", "--read-only", "--fsck=no"];
const hash = "ab".repeat(32);

test.each<[DiskImage, readonly string[]]>([
  [{ path: "/a.raw" }, []],
  [{ path: "/a.raw", imagePolicy: "root=verity" }, ["--image-policy=root=verity"]],
  [
    { path: "/-a b.raw", rootHash: hash, rootHashSignature: "base64:AA==", verityData: "/a.verity" },
    [`--root-hash=${hash}`, "--root-hash-sig=base64:AA==", "--verity-data=/a.verity"],
  ],
])("%j", (image, expected) => {
  expect(dissectArguments(image, "/target")).toEqual([...always, ...expected, "--", image.path, "/target"]);
});
