import { expect, test } from "bun:test";
import packageJson from "../../package.json";
import { bunVersion } from "../build/project";
import { components, lockedPackages, npmUrl, reachable } from "./components";
import { cycloneDx, spdx } from "./sbom";

const integrity = `sha512-${Buffer.from("x".repeat(64)).toString("base64")}`;
const entry = (id: string, dependencies: Readonly<Record<string, string>> = {}) => [
  id,
  "",
  { dependencies },
  integrity,
];

test("packages that are reached, with a package's own version of another first", () => {
  const packages = lockedPackages({
    a: entry("a@1.0.0", { "@s/b": "2", c: "1" }),
    "@s/b": entry("@s/b@2.0.0", { a: "1" }),
    c: entry("c@2.0.0"),
    "a/c": entry("a/c@1.0.0".replace("a/", "")),
    unused: entry("unused@1.0.0"),
    workspace: ["workspace@workspace:."],
  });
  expect(reachable(packages, ["a"])).toEqual(["@s/b", "a", "a/c"]);
  expect(packages.get("@s/b")).toMatchObject({ name: "@s/b", version: "2.0.0" });
  expect(npmUrl("@s/b", "2.0.0")).toBe("pkg:npm/%40s/b@2.0.0");
});

test("the executable's components: the runtime, and every dependency with licence and hash", async () => {
  const found = await components();
  expect(found.map(({ name }) => name)).toContain("bun");
  for (const [name, version] of Object.entries(packageJson.dependencies)) {
    expect(found.find((each) => each.name === name)).toMatchObject({ version, purl: npmUrl(name, version) });
  }
  for (const { license, sha512, name } of found) {
    expect(license).toMatch(/^[\w.() -]+$/);
    if (name !== "bun") expect(sha512).toMatch(/^[0-9a-f]{128}$/);
  }
  const known = new Set(found.map(({ purl }) => purl));
  for (const { uses } of found) for (const purl of uses) expect(known.has(purl)).toBe(true);
  expect(found.find(({ name }) => name === "bun")?.version).toBe(bunVersion);
  expect(found.some(({ name }) => Object.keys(packageJson.devDependencies).includes(name))).toBe(false);
});

test("both formats name every component, refer only to what they define, and depend on nothing else", async () => {
  const found = await components();
  const subject = {
    name: "x",
    version: "1.0.0",
    sha256: "ab".repeat(32),
    time: 1_764_000_000,
    uses: [found[0]?.purl ?? ""],
  };
  const cdx = JSON.parse(cycloneDx(subject, found));
  expect(cdx.metadata.timestamp).toBe("2025-11-24T16:00:00Z");
  expect(cdx.components).toHaveLength(found.length);
  const refs = new Set([
    cdx.metadata.component["bom-ref"],
    ...cdx.components.map((each: { "bom-ref": string }) => each["bom-ref"]),
  ]);
  for (const { ref, dependsOn } of cdx.dependencies)
    expect([ref, ...dependsOn].every((each: string) => refs.has(each))).toBe(true);
  const document = JSON.parse(spdx(subject, found));
  const ids = new Set(["SPDXRef-DOCUMENT", ...document.packages.map((each: { SPDXID: string }) => each.SPDXID)]);
  expect(ids.size).toBe(found.length + 2);
  for (const id of ids) expect(id).toMatch(/^SPDXRef-[A-Za-z0-9.-]+$/);
  for (const { spdxElementId, relatedSpdxElement } of document.relationships) {
    expect(ids.has(spdxElementId) && ids.has(relatedSpdxElement)).toBe(true);
  }
  expect(cycloneDx(subject, found)).toBe(cycloneDx(subject, found));
});
