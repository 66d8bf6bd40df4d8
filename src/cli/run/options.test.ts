import { describe, expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import { decodeTaskConfig } from "../../config/task/decode";
import { UsageError } from "../command";
import { configOf, runOptions } from "./options";

describe("options", () => {
  const quiet = { boot: false, network_veth: false };

  test.each([
    [["web"], { ...quiet, image: "web" }],
    [["/nowhere/web", "/bin/true"], { ...quiet, image: "/nowhere/web", command: ["/bin/true"] }],
    [["web", "--", "sh", "-c", "exit 3"], { ...quiet, image: "web", command: ["sh", "-c", "exit 3"] }],
    [["--", "sh"], undefined],
    [["--boot", "--network-veth", "web"], { boot: true, network_veth: true, image: "web" }],
    [["web", "--set", "boot=true", "--set=user=app"], { ...quiet, boot: "true", user: "app", image: "web" }],
  ])("%j", (args, config) => {
    if (config === undefined) expect(() => runOptions(args)).toThrow("Missing argument: IMAGE");
    else expect(runOptions(args).config).toEqual(config);
  });

  test("an existing path is made absolute, because the plugin has another working directory", () => {
    expect(runOptions(["src"]).config["image"]).toBe(`${process.cwd()}/src`);
  });

  test("environment, memory and times", () => {
    expect(runOptions(["web", "--env", "A=b=c", "--memory=64", "--stop-timeout", "1m"])).toMatchObject({
      environment: { A: "b=c" },
      memory: 64,
      stopTimeout: 60_000,
      verbose: false,
    });
  });

  test.each([
    [[], "Missing argument: IMAGE"],
    [["web", "-c"], "-c"],
    [["web", "--memory", "lots"], "--memory lots"],
    [["web", "--memory=0"], "--memory 0"],
    [["web", "--stop-timeout", "soon"], "--stop-timeout soon"],
    [["web", "--env", "SECRET"], "Expected --env NAME=VALUE"],
    [["web", "--set", "nope=1"], 'Unknown option "nope"'],
  ])("%j is rejected", (args, sentence) => {
    expect(() => runOptions(args)).toThrow(UsageError);
    expect(() => runOptions(args)).toThrow(sentence);
  });

  test("the value of a rejected variable is not printed", () => {
    expect(() => runOptions(["web", "--env", "=secret"])).toThrow(/^(?!.*secret)/);
  });
});

describe("set-option", () => {
  test.each([
    [[], {}],
    [["read_only=true"], { read_only: "true" }],
    [["hostname=a=b"], { hostname: "a=b" }],
    [["capability=CAP_A", "capability=CAP_B"], { capability: ["CAP_A", "CAP_B"] }],
    [['cap_drop=["all"]', "work_dir=/srv"], { cap_drop: ["all"], work_dir: "/srv" }],
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
});
