/** The software bill of materials of a release, in the two formats that scanners read. Both are pure functions of what is released. */

import type { Component } from "./components";

/** What the bill is about. */
export interface Subject {
  readonly name: string;
  readonly version: string;
  /** SHA-256 of the executable in hexadecimal. */
  readonly sha256: string;
  /** Seconds since the epoch. */
  readonly time: number;
  /** Package URLs of its direct parts. */
  readonly uses: readonly string[];
}

const timestamp = (time: number) => new Date(time * 1000).toISOString().replace(/\.\d+Z$/, "Z");

/** A UUID that depends on the executable alone, so that a repeated build has the same one. */
const uuidOf = (sha256: string) =>
  [
    sha256.slice(0, 8),
    sha256.slice(8, 12),
    `8${sha256.slice(13, 16)}`,
    `8${sha256.slice(17, 20)}`,
    sha256.slice(20, 32),
  ].join("-");

/** CycloneDX 1.6 as JSON (cyclonedx.org/docs/1.6/json). */
export function cycloneDx(subject: Subject, components: readonly Component[]): string {
  const ref = `pkg:generic/${subject.name}@${subject.version}`;
  const bom = {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${uuidOf(subject.sha256)}`,
    version: 1,
    metadata: {
      timestamp: timestamp(subject.time),
      component: {
        type: "application",
        "bom-ref": ref,
        name: subject.name,
        version: subject.version,
        licenses: [{ license: { id: "MPL-2.0" } }],
        hashes: [{ alg: "SHA-256", content: subject.sha256 }],
      },
    },
    components: components.map(({ name, version, license, purl, sha512 }) => ({
      type: "library",
      "bom-ref": purl,
      name,
      version,
      purl,
      licenses: [{ expression: license }],
      ...(sha512 === undefined ? {} : { hashes: [{ alg: "SHA-512", content: sha512 }] }),
    })),
    dependencies: [
      { ref, dependsOn: subject.uses },
      ...components.map(({ purl, uses }) => ({ ref: purl, dependsOn: uses })),
    ],
  };
  return `${JSON.stringify(bom, undefined, 2)}\n`;
}

/** SPDX identifiers consist of letters, digits, dots and hyphens. */
const spdxId = (purl: string) => `SPDXRef-${purl.replace(/[^A-Za-z0-9.]+/g, "-")}`;

/** SPDX 2.3 as JSON (spdx.github.io/spdx-spec/v2.3). */
export function spdx(subject: Subject, components: readonly Component[]): string {
  const root = spdxId(`${subject.name}-${subject.version}`);
  const id = new Map(components.map(({ purl }) => [purl, spdxId(purl)]));
  const depends = (from: string, to: readonly string[]) =>
    to.map((purl) => ({
      spdxElementId: from,
      relationshipType: "DEPENDS_ON",
      relatedSpdxElement: id.get(purl) ?? spdxId(purl),
    }));
  const document = {
    spdxVersion: "SPDX-2.3",
    dataLicense: "CC0-1.0",
    SPDXID: "SPDXRef-DOCUMENT",
    name: `${subject.name}-${subject.version}`,
    documentNamespace: `urn:uuid:${uuidOf(subject.sha256)}`,
    creationInfo: { created: timestamp(subject.time), creators: [`Tool: ${subject.name}-${subject.version}`] },
    packages: [
      {
        name: subject.name,
        SPDXID: root,
        versionInfo: subject.version,
        downloadLocation: "NOASSERTION",
        filesAnalyzed: false,
        licenseDeclared: "MPL-2.0",
        checksums: [{ algorithm: "SHA256", checksumValue: subject.sha256 }],
      },
      ...components.map(({ name, version, license, purl, sha512 }) => ({
        name,
        SPDXID: id.get(purl),
        versionInfo: version,
        downloadLocation: "NOASSERTION",
        filesAnalyzed: false,
        licenseDeclared: license,
        externalRefs: [{ referenceCategory: "PACKAGE-MANAGER", referenceType: "purl", referenceLocator: purl }],
        ...(sha512 === undefined ? {} : { checksums: [{ algorithm: "SHA512", checksumValue: sha512 }] }),
      })),
    ],
    relationships: [
      { spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: root },
      ...depends(root, subject.uses),
      ...components.flatMap(({ purl, uses }) => depends(id.get(purl) ?? "", uses)),
    ],
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}
