import { expect, test } from "bun:test";
import { parseTaskRecord } from "../../machine/task-record";
import { resolveTask } from "./resolve-task";

function task(name: string, allocation: string, recorded = true) {
  const machine = `${name}-${allocation}`;
  const record = parseTaskRecord(
    JSON.stringify({
      ...{ version: 1, task: name, allocation, job: "j", jobName: "j", group: "g", namespace: "default", node: "n" },
      ...{
        nodeId: "i",
        image: "debian",
        mode: "boot",
        directory: "/a",
        stdoutPath: "/o",
        stderrPath: "/e",
        config: {},
      },
    }),
  );
  return { machine, unit: `nomad-nspawn-${machine}.service`, record: recorded ? record : undefined };
}

const FIRST = "4be1e5b0-8b1c-0d44-9ad4-3a0f6e5a9a52";
const SECOND = "4bffffff-0000-0000-0000-000000000000";
const web = task("web", FIRST);
const db = task("db", FIRST);
const other = task("web", SECOND);
const old = task("old", "aaaaaaaa-0000-0000-0000-000000000001", false);
const all = [web, db, other, old];

test.each([
  [`web-${FIRST}`, web],
  [`nomad-nspawn-web-${FIRST}.service`, web],
  [`nomad-nspawn-web-${FIRST}`, web],
  ["db", db],
  ["4bff", other],
  ["4BFF", other],
  ["4be1/db", db],
  ["aaaa", old],
])("%p", (text, expected) => {
  expect(resolveTask(all, text)).toBe(expected);
});

test.each([
  ["web", '"web" means 2 tasks: 4be1e5b0/web, 4bffffff/web.'],
  ["4be1", '"4be1" means 2 tasks: 4be1e5b0/web, 4be1e5b0/db.'],
  [
    "nope",
    'No task "nope" of this driver exists on this host. Its tasks are 4be1e5b0/web, 4be1e5b0/db, 4bffffff/web, old-',
  ],
  ["", 'No task ""'],
])("%p is refused", (text, sentence) => {
  expect(() => resolveTask(all, text)).toThrow(sentence);
});

test("without tasks the sentence says so", () => {
  expect(() => resolveTask([], "web")).toThrow("no task of this driver exists on this host");
});
