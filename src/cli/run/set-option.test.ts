import { expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import { decodeTaskConfig } from "../../config/task-config";
import { UsageError } from "../command";
import { configOf } from "./set-option";

test.each([
  [[], {}],
  [["read_only=true"], { read_only: "true" }],
  [["hostname=a=b"], { hostname: "a=b" }],
  [["capability=CAP_A", "capability=CAP_B"], { capability: ["CAP_A", "CAP_B"] }],
  [['tmpfs=["/a","/b"]'], { tmpfs: ["/a", "/b"] }],
  [["environment.A=1", "environment.B=x=y"], { environment: { A: "1", B: "x=y" } }],
  [["bind./srv/a.b=/data"], { bind: { "/srv/a.b": "/data" } }],
  [['bind={"/a=b":"/c"}'], { bind: { "/a=b": "/c" } }],
  [["auth.username=u", "auth.password=p"], { auth: { username: "u", password: "p" } }],
])("%j", (assignments, config) => {
  expect(configOf(assignments)).toEqual(config);
});

test.each([
  ["nothing", "Expected --set NAME=VALUE"],
  ["=x", "Expected --set NAME=VALUE"],
  ["nope=1", 'Unknown option "nope"'],
  ["toString=1", 'Unknown option "toString"'],
  ["boot.x=1", "neither a map nor a block"],
  ["bind=/a", "must be JSON"],
  ["tmpfs=[/a", "must be JSON"],
])("%p is rejected", (assignment, sentence) => {
  expect(() => configOf([assignment])).toThrow(UsageError);
  expect(() => configOf([assignment])).toThrow(sentence);
});

test("the driver accepts the resulting config", () => {
  const raw = configOf(["read_only=true", "oom_score_adjust=5", "environment.A=1", "bind./a=/b", "boot=false"]);
  const options = decodeTaskConfig(encode({ image: "/i", ...raw }));
  expect(options).toMatchObject({
    read_only: true,
    oom_score_adjust: 5,
    environment: { A: "1" },
    bind: { "/a": "/b" },
    boot: false,
  });
});
