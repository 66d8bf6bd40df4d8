import { expect, test } from "bun:test";
import { workOf } from "./hooks";

const hook = (...args: readonly string[]) => ({
  hookName: "createContainer",
  path: `/usr/bin/${args[0]}`,
  args: [...args],
});

test.each([
  [
    ["nvidia-cdi-hook", "create-symlinks", "--link", "libcuda.so.1::/usr/lib/libcuda.so", "--link=../a::/usr/lib/x/b"],
    {
      links: [
        { path: "/usr/lib/libcuda.so", target: "libcuda.so.1" },
        { path: "/usr/lib/x/b", target: "../a" },
      ],
      folders: [],
    },
  ],
  [
    ["nvidia-ctk", "hook", "update-ldcache", "--folder", "/usr/lib64", "--ldconfig-path", "@/sbin/ldconfig"],
    { links: [], folders: ["/usr/lib64"] },
  ],
  [["nvidia-cdi-hook", "create-soname-symlinks", "--folder", "/a"], { links: [], folders: ["/a"] }],
  [["nvidia-cdi-hook", "chmod", "--mode", "755", "--path", "/dev/dri"], { links: [], folders: [] }],
  [["nvidia-cdi-hook", "disable-device-node-modification"], { links: [], folders: [] }],
])("%j is known", (args, work) => {
  expect(workOf(hook(...args))).toEqual(work);
});

test.each([
  [["nvidia-cdi-hook", "enable-cuda-compat", "--host-driver-version=1"]],
  [["nvidia-cdi-hook", "constructor"]],
  [["nvidia-cdi-hook", "chmod", "--mode", "4755", "--path", "/usr/bin/x"]],
  [["nvidia-cdi-hook", "create-symlinks", "--link", "libcuda.so.1"]],
  [["nvidia-cdi-hook", "create-symlinks", "--link", "a::b"]],
  [["nvidia-cdi-hook", "update-ldcache", "--folder"]],
  [["nvidia-cdi-hook", "update-ldcache", "--folder", "lib"]],
  [["nvidia-cdi-hook", "update-ldcache", "/usr/lib"]],
  [["nvidia-cdi-hook"]],
  [["nvidia-ctk", "cdi", "update-ldcache"]],
  [["other-hook", "update-ldcache", "--folder", "/usr/lib"]],
])("%j is not", (args) => {
  expect(workOf(hook(...args))).toBeUndefined();
});
