import { expect, test } from "bun:test";
import { distrustSettings } from "./sysctl";

test("a link is hardened in both families", () => {
  expect(distrustSettings("ve-a.b")).toEqual([
    "ipv4/conf/ve-a.b/accept_redirects",
    "ipv4/conf/ve-a.b/accept_source_route",
    "ipv6/conf/ve-a.b/accept_ra",
    "ipv6/conf/ve-a.b/autoconf",
    "ipv6/conf/ve-a.b/accept_redirects",
    "ipv6/conf/ve-a.b/accept_source_route",
  ]);
});
