/** Certificates that tests trust for a day. */

import { join } from "node:path";
import { run } from "../../tools/command";

/** Files in PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** Creates a self-signed certificate, for names such as "DNS:localhost" and "IP:127.0.0.1". */
export async function makeCertificate(
  directory: string,
  name: string,
  alternatives: readonly string[],
): Promise<Certificate> {
  const certificate = join(directory, `${name}.pem`);
  const key = join(directory, `${name}.key`);
  await run([
    ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"],
    ...[
      "-subj",
      `/CN=${name}`,
      "-addext",
      `subjectAltName=${alternatives.join(",")}`,
      "-keyout",
      key,
      "-out",
      certificate,
    ],
  ]);
  return { certificate, key };
}
