import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../command";
import { cached } from "../images/cache";

/** The Debian package: only its programs are taken out of it, because the package also starts a server. */
const PACKAGE = "prometheus";
const PROGRAMS = ["promtool", "prometheus"] as const;

/** A program of Prometheus; fetched on first use, both together (110 MB). */
async function program(name: (typeof PROGRAMS)[number], say?: (line: string) => void): Promise<string> {
  const build = async (directory: string) => {
    await run(["apt-get", "download", "--quiet", PACKAGE], { cwd: directory });
    const [archive = ""] = (await readdir(directory)).filter((each) => each.endsWith(".deb"));
    await run(["dpkg-deb", "--extract", archive, "files"], { cwd: directory });
    for (const each of PROGRAMS) await run(["mv", `files/usr/bin/${each}`, each], { cwd: directory });
    for (const each of ["files", archive]) await rm(join(directory, each), { recursive: true });
  };
  return join(await cached({ name: PACKAGE, inputs: { package: PACKAGE, programs: PROGRAMS }, build }, say), name);
}

/** Path of promtool, which checks texts of metrics and alert rules as Prometheus reads them, and makes databases of samples. */
export function promtool(say?: (line: string) => void): Promise<string> {
  return program("promtool", say);
}

/** Path of the server, which evaluates expressions. */
export function prometheusServer(say?: (line: string) => void): Promise<string> {
  return program("prometheus", say);
}
