/** A server of access tokens for a registry (Docker's token specification), with tokens that docker-registry checks. */

import { createPrivateKey, sign } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Certificate } from "./certificate";

/** Users who may pull and push, and the images that may be pulled without credentials. */
export interface TokenRules {
  readonly users: Readonly<Record<string, string>>;
  /** Refresh tokens (identity tokens), and their users. */
  readonly identities: Readonly<Record<string, string>>;
  readonly publicRepositories: readonly string[];
  readonly service: string;
  /** The lifetime of a token in seconds, as announced; it stays valid a little longer. */
  lifetime: number;
}

/** A running token server. */
export interface TokenServer extends AsyncDisposable {
  readonly realm: string;
  /** Requests so far: user ("" without credentials) and scope. */
  readonly requests: readonly { readonly user: string; readonly scope: string }[];
}

/** @param signer its certificate is configured in the registry */
export async function startTokenServer(rules: TokenRules, signer: Certificate): Promise<TokenServer> {
  const key = createPrivateKey(await readFile(signer.key));
  const certificate = (await readFile(signer.certificate, "utf8")).replace(/-----[^-]+-----|\s/g, "");
  const requests: { user: string; scope: string }[] = [];
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const token = (user: string, scope: string) => {
    const now = Math.floor(Date.now() / 1000);
    const [type = "", name = "", actions = ""] = scope.split(":");
    const allowed = actions
      .split(",")
      .filter((action) => user !== "" || (action === "pull" && rules.publicRepositories.includes(name)));
    const claims = {
      ...{ iss: "test", sub: user, aud: rules.service, iat: now, nbf: now - 10, exp: now + 300 },
      ...{ jti: crypto.randomUUID(), access: [{ type, name, actions: allowed }] },
    };
    const signed = `${encode({ typ: "JWT", alg: "ES256", x5c: [certificate] })}.${encode(claims)}`;
    const signature = sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" });
    return `${signed}.${signature.toString("base64url")}`;
  };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const form =
        request.method === "POST" ? new URLSearchParams(await request.text()) : new URL(request.url).searchParams;
      const user =
        request.method === "POST" ? rules.identities[form.get("refresh_token") ?? ""] : basicUser(request, rules);
      if (user === undefined) return Response.json({ errors: [{ code: "UNAUTHORIZED" }] }, { status: 401 });
      const scope = form.get("scope") ?? "";
      requests.push({ user, scope });
      return Response.json({ token: token(user, scope), expires_in: rules.lifetime });
    },
  });
  return {
    realm: `http://127.0.0.1:${server.port}/token`,
    requests,
    [Symbol.asyncDispose]: async () => {
      await server.stop(true);
    },
  };
}

/** "" for a request without credentials, undefined for wrong ones. */
function basicUser(request: Request, { users }: TokenRules): string | undefined {
  const header = request.headers.get("authorization");
  if (header === null) return "";
  const [user = "", ...rest] = Buffer.from(header.replace(/^Basic /, ""), "base64")
    .toString()
    .split(":");
  return users[user] === rest.join(":") ? user : undefined;
}
