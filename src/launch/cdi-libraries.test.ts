import { expect, test } from "bun:test";
import { linkedLibraries } from "./cdi-libraries";

const LIB = "/usr/lib/x86_64-linux-gnu";
const mount = (target: string) => ({ source: `/host${target}`, target, readOnly: true, keepOwners: true }) as const;
const full = ["libcuda.so.570.86", "libnvidia-allocator.so.570.86", "tool"].map((name) => mount(`${LIB}/${name}`));
const sonameOf = (path: string) =>
  path.includes(".so.570.86") ? path.replace(/^.*\//, "").replace(".570.86", ".1") : undefined;
const cache = { links: [], folders: [`${LIB}/`] };
const names = (works: Parameters<typeof linkedLibraries>[1]) => {
  const { mounts, notes } = linkedLibraries(full, works, sonameOf);
  return { mounts: mounts.map(({ source, target }) => `${target} = ${source}`), notes };
};

test("libraries are mounted by the names that programs look for too", () => {
  expect(names([cache])).toEqual({
    mounts: [
      `${LIB}/libcuda.so.1 = /host${LIB}/libcuda.so.570.86`,
      `${LIB}/libnvidia-allocator.so.1 = /host${LIB}/libnvidia-allocator.so.570.86`,
    ],
    notes: [],
  });
});

test("links lead to what is mounted, also over other links and other directories", () => {
  const links = [
    { path: `${LIB}/libcuda.so.link`, target: "libcuda.so" },
    { path: `${LIB}/libcuda.so`, target: "libcuda.so.1" },
    { path: `${LIB}/gbm/nvidia-drm_gbm.so`, target: "../libnvidia-allocator.so.1" },
  ];
  expect(names([{ links, folders: [] }, cache]).mounts.slice(2)).toEqual([
    `${LIB}/libcuda.so = /host${LIB}/libcuda.so.570.86`,
    `${LIB}/gbm/nvidia-drm_gbm.so = /host${LIB}/libnvidia-allocator.so.570.86`,
    `${LIB}/libcuda.so.link = /host${LIB}/libcuda.so.570.86`,
  ]);
});

test("a link that leads nowhere, and a directory that is not searched, are said; other directories have no names", () => {
  const links = [
    { path: "/a", target: "/missing" },
    { path: "/loop", target: "/loop" },
  ];
  expect(names([{ links, folders: ["/opt/vendor"] }])).toEqual({
    mounts: [],
    notes: [
      expect.stringContaining("The link /a to /missing"),
      expect.stringContaining("The link /loop to /loop"),
      expect.stringContaining("LD_LIBRARY_PATH=/opt/vendor"),
    ],
  });
});

test("a file that the specification mounts itself stays", () => {
  const own = mount(`${LIB}/libcuda.so.1`);
  expect(linkedLibraries([...full, own], [cache], sonameOf).mounts.map(({ target }) => target)).toEqual([
    `${LIB}/libnvidia-allocator.so.1`,
  ]);
});
