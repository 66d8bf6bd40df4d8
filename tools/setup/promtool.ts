import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../command";
import { cached } from "../images/cache";

/** The Debian package that has it: only this program is taken out of it, because the package also starts a server. */
const PACKAGE = "prometheus";

/** Path of promtool, which checks texts of metrics and alert rules as Prometheus reads them; fetched on first use (19 MB). */
export async function promtool(say?: (line: string) => void): Promise<string> {
  const build = async (directory: string) => {
    await run(["apt-get", "download", "--quiet", PACKAGE], { cwd: directory });
    const [archive = ""] = (await readdir(directory)).filter((name) => name.endsWith(".deb"));
    await run(["dpkg-deb", "--extract", archive, "files"], { cwd: directory });
    await run(["mv", "files/usr/bin/promtool", "promtool"], { cwd: directory });
    for (const name of ["files", archive]) await rm(join(directory, name), { recursive: true });
  };
  return join(await cached({ name: "promtool", inputs: { package: PACKAGE }, build }, say), "promtool");
}
