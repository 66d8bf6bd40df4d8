import { expect, test } from "bun:test";
import { chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeRootDirectories } from "./root-directories";

test("systemd-nspawn's empty directories are removed if root owns them, and only when none of them may be needed", () => {
  const directory = mkdtempSync(join(tmpdir(), "roots-"));
  try {
    const kept = ["nspawn-root-aaaaaa", "nspawn-root-user00", "nspawn-root-toolong", "nspawn-other-aaaaaa"];
    for (const name of [...kept, "nspawn-root-b1C2d3"]) mkdirSync(join(directory, name));
    writeFileSync(join(directory, "nspawn-root-aaaaaa/file"), "");
    chownSync(join(directory, "nspawn-root-user00"), 1000, 1000);
    symlinkSync("nspawn-other-aaaaaa", join(directory, "nspawn-root-link00"));
    expect(removeRootDirectories({ directory, someStarts: () => true })).toEqual([]);
    expect(removeRootDirectories({ directory, someStarts: () => false })).toEqual([
      join(directory, "nspawn-root-b1C2d3"),
    ]);
    expect(readdirSync(directory).toSorted()).toEqual([...kept, "nspawn-root-link00"].toSorted());
  } finally {
    rmSync(directory, { recursive: true });
  }
});
