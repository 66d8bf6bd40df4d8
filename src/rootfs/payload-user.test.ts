import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encode } from "@msgpack/msgpack";
import { decodeTaskConfig } from "../config/task/decode";
import { openTree } from "../linux/rooted-path";
import { hostUser, imageUser } from "./payload-user";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "tree-"));
  for (const path of ["image/etc", "image/home/app", "image/new/etc"])
    await mkdir(join(root, path), { recursive: true });
  await writeFile(join(root, "image/etc/passwd"), "app:x:1000:1001::/home/app:\ngone:x:5:5::/home/gone:\n");
  await writeFile(join(root, "image/etc/group"), "extra:x:2000:app\nadm:x:4:root\n");
  await writeFile(join(root, "passwd"), "outside:x:1:1::/:\n");
  await symlink("../../../passwd", join(root, "image/new/etc/passwd"));
});
afterAll(() => rm(root, { recursive: true }));

const decode = (config: object) => decodeTaskConfig(encode({ image: "/i", boot: false, command: ["/c"], ...config }));

function onHost(config: object, readable = true) {
  using tree = openTree(join(root, "image"));
  const { options, user, environment } = hostUser({ tree: readable ? tree : undefined, options: decode(config) });
  return {
    left: options.user,
    at: options.working_directory,
    ids: user && [user.uid, user.gid, ...user.groups],
    environment,
  };
}

const APP = { HOME: "/home/app", USER: "app", LOGNAME: "app" };

describe("the user of a directory", () => {
  test.each([
    [{ user: "app" }, [1000, 1001, 2000], "/home/app", APP],
    [{ user: "app:extra" }, [1000, 2000], "/home/app", APP],
    [{ user: "app:" }, [1000, 1001, 2000], "/home/app", APP],
    [{ user: "app", working_directory: "/srv" }, [1000, 1001, 2000], "/srv", APP],
    [{ user: "gone" }, [5, 5], undefined, { HOME: "/home/gone", USER: "gone", LOGNAME: "gone" }],
    [{ user: "7:8" }, [7, 8], "/", { HOME: "/", USER: "7", LOGNAME: "7" }],
    [{ user: "10001:" }, [10001, 0], "/", { HOME: "/", USER: "10001", LOGNAME: "10001" }],
    [{ user: "0:2000" }, [0, 2000], undefined, { HOME: "/root", USER: "root", LOGNAME: "root" }],
    [{ user: "root" }, undefined, undefined, {}],
    [{ user: "app", group_add: ["adm", "44", "2000"] }, [1000, 1001, 2000, 4, 44], "/home/app", APP],
    [{ group_add: ["44"] }, [0, 0, 44], undefined, { HOME: "/root", USER: "root", LOGNAME: "root" }],
  ])("%j", (config, ids, at, environment) => {
    expect(onHost(config)).toEqual({ left: undefined, ids, at, environment });
  });

  test("a name that only other databases may have is left to systemd-nspawn", () => {
    expect(onHost({ user: "ldap" })).toMatchObject({ left: "ldap", ids: undefined });
    expect(onHost({ user: "app" }, false)).toMatchObject({ left: "app", ids: undefined });
    expect(onHost({ user: "7:" }, false)).toMatchObject({ left: "7", ids: undefined });
    expect(onHost({ user: "app", volatile: "yes" })).toMatchObject({ left: "app", ids: undefined });
  });

  test("a symlink does not lead out of the image", () => {
    expect(onHost({ user: "outside", pivot_root: "/new" })).toMatchObject({ left: "outside", ids: undefined });
  });

  test("a group that cannot be found is refused", () => {
    expect(() => onHost({ user: "app:nothing" })).toThrow(/The user "app:nothing" does not exist in the image "\/i"/);
    expect(() => onHost({ user: "app:extra" }, false)).toThrow(/cannot have a group of the job's in the image/);
  });

  test("an init system runs as root", () => {
    expect(onHost({ user: "app", boot: true, command: [] })).toMatchObject({ left: "app", ids: undefined });
  });
});

test("the user of a stored image has to be in it", () => {
  using tree = openTree(join(root, "image"));
  expect(imageUser(tree, decode({ user: "app" }))).toMatchObject({ user: { uid: 1000 }, environment: APP });
  expect(imageUser(tree, decode({}))).toMatchObject({ environment: {} });
  expect(() => imageUser(tree, decode({ user: "ldap" }))).toThrow(/does not exist in the image/);
});

test("groups of group_add must be in the image, and the image readable", () => {
  expect(() => onHost({ group_add: ["video"] })).toThrow('Option group_add names the group "video"');
  expect(() => onHost({ group_add: ["44"] }, false)).toThrow("Option group_add cannot be used with the image");
});
