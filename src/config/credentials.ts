import { climbs } from "./validators";

/** The largest credential, in bytes (systemd's CREDENTIAL_SIZE_MAX, creds-util.h). */
export const MOST_CREDENTIAL_BYTES = 1024 * 1024;

/** Why a name cannot be that of a credential, as the end of a sentence; undefined if it can (systemd's credential_name_valid()). */
export function credentialNameProblem(name: string): string | undefined {
  const valid = /^[\x21-\x7e]{1,255}$/.test(name) && !/[/:]/.test(name) && name !== "." && name !== "..";
  return valid ? undefined : 'the name must have 1 to 255 printable ASCII characters, without spaces, "/" and ":"';
}

/** Why a text cannot be a credential. */
export function credentialProblem(text: string): string | undefined {
  return Buffer.byteLength(text) > MOST_CREDENTIAL_BYTES ? "it must have at most 1 MiB" : undefined;
}

/** Why a path cannot be that of a file in the task directory. */
export function credentialFileProblem(path: string): string | undefined {
  const inside = path !== "" && !path.startsWith("/") && !climbs(path);
  return inside ? undefined : 'it must be a path in the task directory, such as "secrets/password"';
}
