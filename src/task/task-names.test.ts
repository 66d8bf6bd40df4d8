import { expect, test } from "bun:test";
import type { LogFields, Logger } from "../lib/logger";
import { NamesByMachine, namingLogger } from "./task-names";

const web = { task: "web", alloc: "a1", job: "site", namespace: "default" };

test("lines about a known machine have Nomad's names, also from parts of the logger", () => {
  const lines: (LogFields | undefined)[] = [];
  const take = (_message: string, fields?: LogFields) => void lines.push(fields);
  const plain: Logger = { trace: take, debug: take, info: take, warn: take, error: take, named: () => plain };
  const names = new NamesByMachine();
  const log = namingLogger(plain, names);
  names.learn("web-1", web);
  log.info("a", { machine: "web-1", ms: 3 });
  log.named("images").warn("b", { machine: "web-1", task: "own" });
  log.error("c", { machine: "other" });
  log.debug("d");
  expect(lines).toEqual([
    { ...web, machine: "web-1", ms: 3 },
    { ...web, machine: "web-1", task: "own" },
    { machine: "other" },
    undefined,
  ]);
});

test("the names of tasks that have ended are kept for a while", () => {
  const names = new NamesByMachine();
  names.learn("first", web);
  names.end("first");
  names.end("unknown");
  expect(names.of("first")).toEqual(web);
  for (let number = 0; number < 200; number += 1) {
    names.learn(`m${number}`, web);
    names.end(`m${number}`);
  }
  expect(names.of("first")).toBeUndefined();
  names.learn("running", web);
  for (let number = 0; number < 500; number += 1) {
    names.learn(`n${number}`, web);
    names.end(`n${number}`);
  }
  expect(names.of("running")).toEqual(web);
});
