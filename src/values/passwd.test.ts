import { describe, expect, test } from "bun:test";
import { findUser } from "./passwd";

const passwd =
  "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/home/app:/bin/sh\nbroken:x:a:b::/:\nnowhere:x:7:7:::\n";
const group = "root:x:0:\napp:x:1001:\nwheel:x:10:app,other\nvideo:x:44:other\nlog:x:4:root,app\n";

describe("findUser", () => {
  test.each([
    ["app", { uid: 1000, gid: 1001, groups: [10, 4], name: "app", home: "/home/app" }],
    ["1000", { uid: 1000, gid: 1001, groups: [10, 4], name: "app", home: "/home/app" }],
    ["root", { uid: 0, gid: 0, groups: [4], name: "root", home: "/root" }],
    ["nowhere", { uid: 7, gid: 7, groups: [], name: "nowhere", home: "/" }],
    ["4711", { uid: 4711, gid: 4711, groups: [], name: "4711", home: "/" }],
    ["app:video", { uid: 1000, gid: 44, groups: [], name: "app", home: "/home/app" }],
    ["7:12", { uid: 7, gid: 12, groups: [], name: "nowhere", home: "/" }],
    ["1000:", { uid: 1000, gid: 1001, groups: [10, 4], name: "app", home: "/home/app" }],
    ["4711:", { uid: 4711, gid: 0, groups: [], name: "4711", home: "/" }],
    ["app:nobodys", undefined],
    ["nobody:log", undefined],
    ["broken", undefined],
    ["nobody", undefined],
    ["4294967295", undefined],
    ["99999999999", undefined],
  ])("%s", (user, expected) => expect(findUser(user, passwd, group)).toEqual(expected));

  test("root needs no database", () => {
    for (const user of ["root", "0"]) {
      expect(findUser(user, "", "")).toEqual({ uid: 0, gid: 0, groups: [], name: "root", home: "/root" });
    }
  });
});
