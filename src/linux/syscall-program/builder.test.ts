import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AT_FDCWD, SYS } from "../constants";
import { Label, ProgramBuilder } from "./builder";
import { runProgram } from "./run";

async function ran(program: ProgramBuilder): Promise<{ code: number; output: Buffer }> {
  const child = runProgram("test-program", program.build(), ["ignore", "pipe", "ignore"]);
  if (!(child.stdout instanceof ReadableStream)) throw new Error("no pipe");
  const output = Buffer.from(await new Response(child.stdout).bytes());
  return { code: await child.exited, output };
}

test("makes its calls in order", async () => {
  const program = new ProgramBuilder();
  program.call(SYS.write, [1, program.text("one "), 4]);
  program.call(SYS.write, [1, program.text("two"), 3]);
  program.exit(7);
  expect(await ran(program)).toEqual({ code: 7, output: Buffer.from("one two") });
});

test("branches by a call's result, and passes results on", async () => {
  const program = new ProgramBuilder();
  const [parent, failed, never] = [new Label(), new Label(), new Label()];
  const status = program.space(8);
  program.call(SYS.clone, [17, 0, 0, 0, 0], { positive: parent }, program.argumentAhead(2));
  program.exit(9);
  program.place(parent);
  program.call(SYS.wait4, [0, status, 0, 0], { error: never });
  program.call(SYS.write, [1, status, 2]);
  const errno = program.space(8);
  program.call(
    SYS.openat,
    [AT_FDCWD, program.text("/no/such/file"), 0],
    { error: failed, zero: never, positive: never },
    errno,
  );
  program.place(never);
  program.exit(1);
  program.place(failed);
  program.call(SYS.write, [1, errno, 8]);
  program.exit(0);
  const { code, output } = await ran(program);
  expect(code).toBe(0);
  expect(output.readUInt16LE(0)).toBe(9 << 8);
  expect(output.readBigInt64LE(2)).toBe(-2n);
});

/** What a program's env(1) prints that has these variables and passes others on. */
async function environmentAfter(
  variables: readonly string[],
  others: number,
  environment: Record<string, string>,
  dropped?: string,
) {
  const program = new ProgramBuilder();
  program.passOn(program.environment(variables, others, dropped));
  program.call(SYS.execve, [program.text("/usr/bin/env"), 0, 0]);
  program.exit(1);
  const directory = mkdtempSync(join(tmpdir(), "program-"));
  try {
    const path = join(directory, "program");
    writeFileSync(path, program.build(), { mode: 0o700 });
    const child = Bun.spawn([path, "env", "-0"], { env: environment, stdout: "pipe" });
    // In the order of names: qemu-user, with which arm64's programs are tested, reverses the environment.
    return (await child.stdout.text()).split("\0").slice(0, -1).toSorted();
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test.each([
  [[], 0, { A: "1", B: "" }, ["A=1", "B="]],
  [["x.y=1\n2", "é= "], 9, { A: "1", B: "2" }, ["x.y=1\n2", "é= ", "A=1", "B=2"]],
  [["x.y=1"], 9, {}, ["x.y=1"]],
])("a program with the variables %j passes on %i others of %j", async (variables, others, environment, expected) => {
  expect(await environmentAfter(variables, others, environment)).toEqual(expected.toSorted());
});

test("a program passes on no more other variables than it has room for", async () => {
  const passed = await environmentAfter(["x.y=1"], 1, { A: "1", B: "2" });
  expect(passed).toHaveLength(2);
  expect(passed).toContain("x.y=1");
});

test.each([
  ["NOTIFY_SOCKET", { A: "1", NOTIFY_SOCKET: "/x", B: "2" }, ["A=1", "B=2"]],
  [
    "NOTIFY_SOCKET",
    { NOTIFY_SOCKET: "", NOTIFY_SOCKETS: "2", NOTIFY_SOCKE: "3" },
    ["NOTIFY_SOCKETS=2", "NOTIFY_SOCKE=3"],
  ],
  ["NOTIFY_SOCKET", { MY_NOTIFY_SOCKET: "1", NOTIFY_SERVER: "2" }, ["MY_NOTIFY_SOCKET=1", "NOTIFY_SERVER=2"]],
  ["NOTIFY_SOCKET", {}, []],
  ["EIGHT888", { EIGHT888: "x", A: "", EIGHT8889: "y" }, ["A=", "EIGHT8889=y"]],
  ["FIFTEEN_LETTERS", { FIFTEEN_LETTERS: "x", FIFTEEN_LETTER: "y" }, ["FIFTEEN_LETTER=y"]],
])("the variable %s is left out of %j", async (dropped, environment, expected) => {
  expect(await environmentAfter([], 9, environment, dropped)).toEqual(expected.toSorted());
  expect(await environmentAfter(["x.y=1"], 9, environment, dropped)).toEqual(["x.y=1", ...expected].toSorted());
});

test.each(["SEVEN77", "SIXTEEN_LETTERS_"])("the name %s cannot be left out", (name) => {
  expect(() => new ProgramBuilder().environment([], 1, name)).toThrow("8 to 15 bytes");
});

test("rejects a program that would run past its end", () => {
  const program = new ProgramBuilder();
  program.call(SYS.close, [0]);
  expect(() => program.build()).toThrow("past its end");
});

test("a call has at most six arguments", () => {
  expect(() => new ProgramBuilder().call(SYS.close, [1, 2, 3, 4, 5, 6, 7])).toThrow("6 arguments");
});
