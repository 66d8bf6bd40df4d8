/** The header of HTTP's basic authentication, in UTF-8 (RFC 7617). */
export function basic({ username, password }: { readonly username: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}
