/** Prints the commands of doctor's findings of one check that are not ok, as doctor prints them: doctor-fix.ts REPORT CHECK */

import { readFileSync } from "node:fs";

const [report = "", check = ""] = process.argv.slice(2);
const { findings }: { findings: { check: string; level: string; commands?: string[] }[] } = JSON.parse(
  readFileSync(report, "utf8"),
);
for (const finding of findings) {
  if (finding.check === check && finding.level !== "ok") for (const line of finding.commands ?? []) console.log(line);
}
