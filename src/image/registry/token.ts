import { isRecord, parseJson } from "../../lib/objects";
import { isLocalRegistry } from "../../values/image-reference";
import { basic, readBytes, refusal, type SendRequest } from "../transfer/client";
import { capital, TransferError } from "../transfer/errors";
import type { Challenge } from "./challenge";
import type { Credentials } from "./credentials";

interface TokenRequest {
  /** The subject of errors. */
  readonly name: string;
  readonly challenge: Challenge & { readonly scheme: "bearer" };
  /** Used if the challenge has no scope. */
  readonly scope: string;
  readonly credentials: Credentials | undefined;
  /** The registry itself is accessed by plain HTTP, so its token server may be, too. */
  readonly plainHttp: boolean;
  readonly signal: AbortSignal;
}

/** A token, and when it expires: milliseconds since the epoch. */
interface Token {
  readonly value: string;
  readonly until: number;
}

/** Docker's token specification: the lifetime of a token without expires_in. */
const DEFAULT_SECONDS = 60;
/** A token is not used this shortly before it expires, because a request takes time to arrive. */
const MARGIN_SECONDS = 10;
const CLIENT_ID = "nomad-driver-nspawn";
const MAX_BYTES = 256 * 1024;

/**
 * Gets a token from the token server of a registry (Docker's token and OAuth 2 specifications).
 *
 * @throws TransferError
 */
export async function requestToken(send: SendRequest, request: TokenRequest): Promise<Token> {
  const { name, challenge, credentials, signal } = request;
  const realm = realmOf(request);
  const scopes = (challenge.scope ?? request.scope).split(" ");
  const parameters: [string, string][] = [
    ...(challenge.service === undefined ? [] : [["service", challenge.service] satisfies [string, string]]),
    ...scopes.map((scope): [string, string] => ["scope", scope]),
  ];
  const subject = `the access token for ${name}`;
  const common = { name: subject, signal };
  let response: Response;
  if (credentials?.kind === "identity") {
    const form = new URLSearchParams([
      ...parameters,
      ["grant_type", "refresh_token"],
      ["refresh_token", credentials.token],
      ["client_id", CLIENT_ID],
    ]);
    response = await send({ ...common, url: realm, headers: {}, form });
  } else {
    for (const [key, value] of parameters) realm.searchParams.append(key, value);
    const headers = credentials === undefined ? undefined : { authorization: basic(credentials) };
    response = await send({ ...common, url: realm, headers: headers ?? {} });
  }
  if (response.status !== 200) throw await refusal(subject, response);
  const answer = await readBytes(response, MAX_BYTES, { name: subject, host: realm.host });
  return parseToken(answer.toString("utf8"), subject, realm.host);
}

function realmOf({ name, challenge, plainHttp }: TokenRequest): URL {
  const realm = URL.parse(challenge.realm);
  const safe = realm?.protocol === "https:";
  const plain = realm?.protocol === "http:" && (plainHttp || isLocalRegistry(realm.host));
  if (realm !== null && (safe || plain) && realm.username === "") return realm;
  throw new TransferError(
    `The access token for ${name} could not be fetched: the registry names ${JSON.stringify(realm?.origin ?? challenge.realm.slice(0, 100))} as its token server, which would receive the credentials unencrypted.`,
    { problem: "certificate", recoverable: false },
  );
}

function parseToken(text: string, subject: string, host: string): Token {
  const answer = parseJson(text);
  if (isRecord(answer)) {
    const token = tokenOf(answer["token"]) ?? tokenOf(answer["access_token"]);
    const lifetime = answer["expires_in"];
    const seconds = typeof lifetime === "number" ? lifetime : DEFAULT_SECONDS;
    if (token !== undefined) return { value: token, until: Date.now() + Math.max(0, seconds - MARGIN_SECONDS) * 1000 };
  }
  throw new TransferError(`${capital(subject)} could not be fetched: the response of ${host} has no token.`, {
    problem: "server",
    recoverable: true,
  });
}

/** Tokens are ASCII; other characters could inject another header. */
function tokenOf(value: unknown): string | undefined {
  return typeof value === "string" && /^[\x21-\x7e]+$/.test(value) ? value : undefined;
}
