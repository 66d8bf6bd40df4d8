// temporary: cost of fs-verity for a pull
import { rm } from "node:fs/promises";
import { run } from "../tools/command";
import { debianImage } from "../tools/images/images";
import { driverBinary } from "../tools/build/project";
import { writeImage, archiveOf } from "../test/support/oci-image";
const d = "/var/tmp/vv"; await run(["mkdir", "-p", d + "/m"]);
await run(["truncate", "--size=1500M", d + "/disk"]);
await run(["mkfs.ext4", "-q", "-b", "4096", "-O", "verity", d + "/disk"]);
await run(["mount", "-o", "loop", d + "/disk", d + "/m"]);
const img = await writeImage(d, "image", [{ archive: await archiveOf(await debianImage()) }]);
console.log(img, (await run(["du", "-sm", d])).stdout);
for (let i = 0; i < 2; i++) for (const v of ["false", "true"]) {
  await Bun.write(d + "/c.hcl", `plugin "nspawn" {\n config {\n image_store = "${d}/m/s"\n image_verity = ${v}\n gc { image_min_free = "1MB" }\n }\n}`);
  const t = performance.now();
  await run([driverBinary(), "images", "pull", img, "--config", d + "/c.hcl"]);
  console.log(v, Math.round(performance.now() - t));
  const u = performance.now();
  console.log((await run([driverBinary(), "images", "verify", "--store", d + "/m/s"])).stdout.trim(), Math.round(performance.now() - u));
  await rm(d + "/m/s", { recursive: true });
}
