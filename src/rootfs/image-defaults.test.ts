import { describe, expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import { decodeTaskConfig } from "../config/task/decode";
import { parseImageConfig } from "../image/image-config";
import { applyImageDefaults, type JobSettings } from "./image-defaults";

const DIFF_ID = `sha256:${"0".repeat(64)}`;

function filled(task: object, image: object, words: Partial<JobSettings> = {}) {
  const options = decodeTaskConfig(encode({ image: "i", ...task }), () => true);
  const config = parseImageConfig(JSON.stringify({ os: "linux", config: image, rootfs: { diff_ids: [DIFF_ID] } }), "i");
  return applyImageDefaults(options, { environment: {}, user: "", ...words }, config);
}

describe("the command", () => {
  test.each([
    [{}, { Entrypoint: ["/e"], Cmd: ["a"] }, ["/e", "a"]],
    [{}, { Entrypoint: ["/e"], Cmd: null }, ["/e"]],
    [{}, { Cmd: ["/c", "a"] }, ["/c", "a"]],
    [{ command: ["/own"] }, { Entrypoint: ["/e"], Cmd: ["a"] }, ["/own"]],
    [{ command: "/own", args: ["b"] }, { Entrypoint: ["/e"], Cmd: ["a"] }, ["/own", "b"]],
    [{ args: ["b"] }, { Entrypoint: ["/e"], Cmd: ["a"] }, ["/e", "b"]],
    [{ args: ["/b", "c"] }, { Cmd: ["a"] }, ["/b", "c"]],
    [{ entrypoint: ["/x", "y"] }, { Entrypoint: ["/e"], Cmd: ["a"] }, ["/x", "y"]],
    [{ entrypoint: "/x", command: "b", args: ["c"] }, { Entrypoint: ["/e"], Cmd: ["a"] }, ["/x", "b", "c"]],
    [{ boot: true, args: ["x=y"] }, { Entrypoint: ["/e"], Cmd: ["a"] }, ["x=y"]],
    [{ boot: true }, { Entrypoint: ["/e"], Cmd: ["a"] }, []],
    [{ boot: true, command: ["x=y"] }, { Entrypoint: ["/e"] }, ["x=y"]],
  ])("%j on %j", (task, image, command) => expect(filled(task, image).options.command).toEqual(command));

  test("having nothing to run is an error", () => {
    expect(() => filled({}, {})).toThrow(/has no command/);
    expect(() => filled({}, { Cmd: [""] })).toThrow(/has no command/);
  });
});

test.each([
  [{}, { User: "app" }, "", "app"],
  [{}, { User: "1000" }, "", "1000:"],
  [{}, { User: "1000:app" }, "", "1000:app"],
  [{}, { User: "" }, "", undefined],
  [{}, { User: "app" }, "job", "job"],
  [{ user: "own" }, { User: "app" }, "job", "own"],
  [{ boot: true }, { User: "app" }, "", undefined],
] as const)("the user of %j on %j", (task, image, user, expected) =>
  expect(filled(task, { Cmd: ["/c"], ...image }, { user }).options.user).toBe(expected),
);

test("rejects an invalid user", () => {
  for (const User of ["a:b:c/d", ":1", "-x", "a b\n"]) {
    expect(() => filled({}, { Cmd: ["/c"], User })).toThrow(/is not valid/);
  }
});

test("variables: the image's, the task's, the config's", () => {
  const image = { Cmd: ["/c"], Env: ["A=1", "B=1", "C=1", "D=x=y", "E", "a-b=1", "=x"] };
  const { options, notes } = filled({ environment: { C: "3" } }, image, { environment: { B: "2", C: "2" } });
  expect(options.environment).toEqual({ A: "1", B: "2", C: "3", D: "x=y", "a-b": "1" });
  expect(notes).toEqual([
    'The image\'s environment variable "E" is ignored: it is not NAME=VALUE.',
    'The image\'s environment variable "" is ignored: it is not NAME=VALUE.',
  ]);
});

test.each([
  ["/srv", "/srv"],
  ["srv/x/", "/srv/x"],
  ["/", undefined],
  ["", undefined],
  ["/../x", undefined],
] as const)("directory %p", (WorkingDir, expected) =>
  expect(filled({}, { Cmd: ["/c"], WorkingDir }).options.working_directory).toBe(expected),
);

test.each([
  ["SIGTERM", "SIGTERM", 0],
  ["TERM", "TERM", 0],
  ["9", "9", 0],
  ["SIGRTMIN+3", "SIGRTMIN+3", 0],
  ["SIGNAL", undefined, 1],
] as const)("stop signal %p", (StopSignal, expected, notes) => {
  const found = filled({}, { Cmd: ["/c"], StopSignal });
  expect([found.stopSignal, found.notes.length]).toEqual([expected, notes]);
});

test.each([
  ["{", /is not JSON/],
  ['{"rootfs":{}}', /is not an image config/],
  ['{"os":"windows","rootfs":{"diff_ids":[]}}', /for windows/],
  ['{"rootfs":{"diff_ids":["../../x"]}}', /is not a layer digest/],
] as const)("config %p is rejected", (text, why) => expect(() => parseImageConfig(text, "i")).toThrow(why));

describe("copies that the root of an OCI image is anyway", () => {
  test.each([
    [
      { ephemeral: true, volatile: "overlay" },
      { ephemeral: false, volatile: "no" },
    ],
    [{ volatile: "yes" }, { volatile: "yes" }],
  ])("%j", (config, expected) => {
    expect(filled({ command: ["a"], ...config }, {}).options).toMatchObject(expected);
  });
});

test("an image of the host has no defaults: the job's own variables and user stay", () => {
  const options = decodeTaskConfig(encode({ image: "i", environment: { A: "config" } }));
  const job = { environment: { A: "job", B: "job" }, user: "daemon" };
  const { options: applied } = applyImageDefaults(options, job, undefined);
  expect([applied.environment, applied.user]).toEqual([{ A: "config", B: "job" }, "daemon"]);
});
