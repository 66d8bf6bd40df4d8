import { expect, test } from "bun:test";
import { parseLayoutReference } from "./oci-layout";

const digest = `sha256:${"a".repeat(64)}`;

test.each([
  ["oci:/srv/images", { directory: "/srv/images" }],
  ["oci:/srv/images:v1.2_3-x", { directory: "/srv/images", tag: "v1.2_3-x" }],
  ["oci:///srv/images:1", { directory: "/srv/images", tag: "1" }],
  [`oci:/srv/images@${digest}`, { directory: "/srv/images", digest }],
  ["oci:/srv/a:b/images", { directory: "/srv/a:b/images" }],
  ["oci:/srv/a:b/images:c", { directory: "/srv/a:b/images", tag: "c" }],
  ["oci:local/images", { directory: "local/images" }],
  ["oci:local/images:1", { directory: "local/images", tag: "1" }],
  ["oci:images", undefined],
  ["oci:5000/images", undefined],
  ["oci://registry.lan/images:1", undefined],
  ["docker://alpine", undefined],
  ["/srv/images", undefined],
  ["oci:/srv/a\0b", undefined],
] as const)("%s", (image, expected) => expect(parseLayoutReference(image)).toEqual(expected));
