import { expect, test } from "bun:test";
import { UsageError } from "../command";
import { runOptions } from "./options";

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
  expect(() => runOptions(["web", "--env", "a b=secret"])).toThrow(/^(?!.*secret)/);
});
