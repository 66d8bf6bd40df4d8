/** A release, made as the workflow makes it, and checked as an operator does it. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { appendFile, copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import packageJson from "../../package.json";
import { sha256 } from "../../tools/build/artifacts";
import { elfNeeds } from "../../tools/build/elf";
import { projectRoot } from "../../tools/build/project";
import { requirementProblems } from "../../tools/build/requirements";
import { ARM64 } from "../../tools/build/targets";
import { attempt, run } from "../../tools/command";
import { writeArtifacts } from "../../tools/release/make";

const { version } = packageJson;
const name = `nomad-driver-nspawn_${version}_linux_amd64`;
/** For another machine than the one that packs it. */
const foreign = `nomad-driver-nspawn_${version}_linux_arm64`;
let scratch = "";
let release = "";
let keyring: Record<string, string | undefined> = {};
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "release-test-"));
  release = join(scratch, "release");
  const how = ["--out", release, "--tag", `v${version}`, "--quick"];
  await run([process.execPath, "scripts/release.ts", ...how], { cwd: projectRoot });
  await signWithThrowAwayKey();
}, 600_000);
afterAll(async () => {
  await attempt(["gpgconf", "--kill", "all"], { env: keyring });
  await rm(scratch, { recursive: true });
});

/** A key as the secret RELEASE_KEY holds it; the keyring afterwards knows only its public part, as an operator's does. */
async function signWithThrowAwayKey(): Promise<void> {
  const maker = join(scratch, "maker");
  const user = join(scratch, "user");
  for (const home of [maker, user]) await mkdir(home, { mode: 0o700 });
  const env = { ...process.env, GNUPGHOME: maker };
  const about = ["--quick-generate-key", "release test <test@localhost>", "ed25519", "sign", "never"];
  await run(["gpg", "--batch", "--passphrase", "", "--pinentry-mode", "loopback", ...about], { env });
  const { stdout: secret } = await run(["gpg", "--batch", "--armor", "--export-secret-keys"], { env });
  const { stdout: open } = await run(["gpg", "--batch", "--armor", "--export"], { env });
  await run(["gpgconf", "--kill", "all"], { env });
  await run([process.execPath, "scripts/sign-release.ts", release], {
    cwd: projectRoot,
    env: { ...process.env, RELEASE_KEY: secret },
  });
  keyring = { ...process.env, GNUPGHOME: user };
  await run(["gpg", "--batch", "--import"], { env: keyring, stdin: open });
}

const verify = (directory: string) =>
  attempt(["gpg", "--batch", "--verify", "SHA256SUMS.sig", "SHA256SUMS"], { cwd: directory, env: keyring });

async function versionOf(binary: string): Promise<unknown> {
  return JSON.parse((await run([binary, "version", "--json"])).stdout).version;
}

test("has every artifact, and no other files", async () => {
  const endings = [".cdx.json", ".deb", ".rpm", ".spdx.json", ".tar.xz", ".zip"];
  const files = [name, foreign].flatMap((each) => endings.map((ending) => `${each}${ending}`));
  expect((await readdir(release)).toSorted()).toEqual(
    ["NOTES.md", "SHA256SUMS", "SHA256SUMS.sig", ...files].toSorted(),
  );
  const sums = (await readFile(join(release, "SHA256SUMS"), "utf8")).trim().split("\n");
  expect(sums.map((line) => line.split("  ")[1])).toEqual(files.toSorted());
  expect(await readFile(join(release, "NOTES.md"), "utf8")).toContain("### Added");
});

describe("verification", () => {
  test("succeeds for what was released", async () => {
    expect((await verify(release)).code).toBe(0);
    expect((await attempt(["sha256sum", "--check", "--strict", "SHA256SUMS"], { cwd: release })).code).toBe(0);
  });

  test("fails after a changed byte, in an artifact or in the checksums", async () => {
    const changed = join(scratch, "changed");
    await mkdir(changed);
    for (const file of ["SHA256SUMS", "SHA256SUMS.sig", `${name}.zip`]) {
      await copyFile(join(release, file), join(changed, file));
    }
    await appendFile(join(changed, `${name}.zip`), "x");
    const sums = ["sha256sum", "--check", "--ignore-missing", "SHA256SUMS"];
    expect((await attempt(sums, { cwd: changed })).code).not.toBe(0);
    await appendFile(join(changed, "SHA256SUMS"), `${await sha256(join(changed, `${name}.zip`))}  ${name}.zip\n`);
    expect((await verify(changed)).code).not.toBe(0);
  });
});

describe("the executable is whole in", () => {
  test("the zip file, at its top", async () => {
    const into = join(scratch, "zip");
    await run(["unzip", "-q", join(release, `${name}.zip`), "-d", into]);
    expect(await versionOf(join(into, "nomad-driver-nspawn"))).toBe(version);
  });

  test("the tarball, in one directory", async () => {
    await run(["tar", "-xJf", join(release, `${name}.tar.xz`), "-C", scratch]);
    expect(await versionOf(join(scratch, name, "nomad-driver-nspawn"))).toBe(version);
    await expectFolders(join(scratch, name));
  });

  test("the package for Debian, which names what it needs", async () => {
    const into = join(scratch, "deb");
    await run(["dpkg-deb", "-x", join(release, `${name}.deb`), into]);
    expect(await versionOf(join(into, "usr/bin/nomad-driver-nspawn"))).toBe(version);
    const { stdout } = await run(["dpkg-deb", "--field", join(release, `${name}.deb`), "Depends"]);
    expect(stdout).toContain("systemd-container (>= 249)");
    await packaged(into);
  });

  test("the package for Fedora and RHEL, which names what it needs", async () => {
    const into = join(scratch, "rpm");
    await mkdir(into);
    const cpio = join(scratch, "rpm.cpio");
    await run(["sh", "-c", 'rpm2cpio "$1" > "$2"', "sh", join(release, `${name}.rpm`), cpio]);
    await run(["cpio", "--quiet", "-idm", "-F", cpio], { cwd: into });
    expect(await versionOf(join(into, "usr/bin/nomad-driver-nspawn"))).toBe(version);
    const { stdout } = await run(["rpm", "-qp", "--requires", join(release, `${name}.rpm`)]);
    expect(stdout).toContain("systemd-container >= 249");
    await packaged(into);
  });
});

test("what is for arm64 says so, and has an executable for it", async () => {
  const { stdout } = await run(["dpkg-deb", "--field", join(release, `${foreign}.deb`), "Architecture"]);
  expect(stdout.trim()).toBe("arm64");
  const rpm = await run(["rpm", "-qp", "--queryformat", "%{ARCH}", join(release, `${foreign}.rpm`)]);
  expect(rpm.stdout).toBe("aarch64");
  const into = join(scratch, "arm64");
  await run(["dpkg-deb", "-x", join(release, `${foreign}.deb`), into]);
  const needs = elfNeeds(new Uint8Array(await Bun.file(join(into, "usr/bin/nomad-driver-nspawn")).arrayBuffer()));
  expect(needs.interpreter).toBe("/lib/ld-linux-aarch64.so.1");
  expect(requirementProblems(needs)).toEqual([]);
});

/** The rest of a package, unpacked into a directory. */
async function packaged(into: string): Promise<void> {
  const { stdout: link } = await run(["readlink", join(into, "opt/nomad/data/plugins/nomad-driver-nspawn")]);
  expect(link.trim()).toBe("/usr/bin/nomad-driver-nspawn");
  expect(await readFile(join(into, "usr/lib/systemd/system/nomad.service.d/50-nspawn.conf"), "utf8")).toContain(
    "[Unit]",
  );
  await expectFolders(join(into, "usr/share/doc/nomad-driver-nspawn"));
}

/** The examples of jobs and of an agent's configuration, the dashboard and the alert rules, in a directory. */
async function expectFolders(directory: string): Promise<void> {
  for (const folder of ["examples", "contrib"]) {
    const files = (path: string) => readdir(path, { recursive: true }).then((names) => names.toSorted());
    expect(await files(join(directory, folder))).toEqual(await files(join(projectRoot, folder)));
  }
}

/** Whether every file and directory below one can be read by any user, whatever umask the release was made with. */
async function expectReadable(directory: string): Promise<void> {
  const { stdout } = await run(["find", directory, "-mindepth", "1", "!", "-type", "l", "!", "-perm", "-444"]);
  expect(stdout).toBe("");
}

test("packed again, by a user with another umask and elsewhere, every artifact has the same bytes", async () => {
  const made = async (name: string, umask: number) => {
    const [directory, packing] = [join(scratch, name, "made"), join(scratch, name, "packing")];
    for (const path of [directory, packing]) await mkdir(path, { recursive: true });
    const before = process.umask(umask);
    try {
      // That the executable is the same too is tested by binary.test.ts; a small one stands for it, which takes no time to compress.
      await writeArtifacts({
        target: ARM64,
        version,
        binary: "/bin/true",
        time: 1_764_000_000,
        directory,
        scratch: packing,
        quick: true,
      });
    } finally {
      process.umask(before);
    }
    const files = (await readdir(directory)).toSorted();
    return Object.fromEntries(
      await Promise.all(files.map(async (file) => [file, await sha256(join(directory, file))])),
    );
  };
  const first = await made("once", 0o022);
  expect(Object.keys(first)).toHaveLength(6);
  expect(await made("more/than-once", 0o077)).toEqual(first);
  const into = join(scratch, "packed-again");
  await run(["dpkg-deb", "-x", join(scratch, "more/than-once/made", `${foreign}.deb`), into]);
  await expectReadable(into);
});

test("a second build is refused while the tree has changes that a clone would not have", async () => {
  const clone = join(scratch, "changed tree");
  await run(["git", "clone", "--quiet", "--shared", projectRoot, clone]);
  await symlink(join(projectRoot, "node_modules"), join(clone, "node_modules"));
  for (const folder of ["scripts", "tools"]) {
    await cp(join(projectRoot, folder), join(clone, folder), { recursive: true });
  }
  await appendFile(join(clone, "LICENSE"), "x");
  const { code, stderr } = await attempt(
    [process.execPath, "scripts/release.ts", "--twice", "--out", join(scratch, "refused")],
    { cwd: clone },
  );
  expect(code).not.toBe(0);
  expect(stderr).toContain("only what is committed");
  expect(stderr).toContain("LICENSE");
});
