/** Go programs of the tests: clients that share no code with the driver. */

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../command";
import { cached } from "../images/cache";
import { goExecutable } from "./go";

/** A program and how `go` builds it. */
export interface GoProgram {
  /** Name of the executable and of its cache entry. */
  readonly name: string;
  /** Absolute path of the directory of go.mod. */
  readonly module: string;
  /** Import path, or a path that begins with "./". */
  readonly package: string;
  /** "build" for a program, "test" for the tests of a package as one executable. */
  readonly kind: "build" | "test";
  /** Whether it has parts in C. */
  readonly cgo: boolean;
}

/**
 * Path of a program's executable; built on first use, and again when its module's requirements or its own sources change.
 *
 * @throws CommandFailedError with the compiler's output
 */
export async function goProgram(program: GoProgram, say?: (line: string) => void): Promise<string> {
  const { name, module, kind, cgo } = program;
  const own = program.package.startsWith("./") ? join(module, program.package) : undefined;
  const sources = own === undefined ? [] : (await readdir(own)).filter((file) => file.endsWith(".go")).sort();
  const files = ["go.mod", "go.sum", ...sources.map((file) => join(program.package, file))];
  const inputs = {
    files: await Promise.all(files.map((file) => readFile(join(module, file), "utf8"))),
    environment: { CGO_ENABLED: cgo ? "1" : "0", GOTOOLCHAIN: "local", GOFLAGS: "-mod=readonly" },
    kind,
    package: program.package,
  };
  const verb = kind === "build" ? ["build"] : ["test", "-c"];
  const build = async (directory: string) => {
    const go = await goExecutable(say);
    await run([go, ...verb, "-trimpath", "-o", join(directory, name), program.package], {
      cwd: module,
      env: { ...process.env, ...inputs.environment },
    });
  };
  return join(await cached({ name, inputs, build }, say), name);
}
