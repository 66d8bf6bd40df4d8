import { readFile } from "node:fs/promises";
import { getCACertificates } from "node:tls";
import { errnoCode } from "../../lib/errors";
import { defined } from "../../lib/objects";
import {
  abortError,
  capital,
  contentError,
  networkError,
  rateLimit,
  type Subject,
  statusError,
  TransferError,
} from "./errors";
import { retryAfterMs } from "./retry";

/** The header of HTTP's basic authentication, in UTF-8 (RFC 7617). */
export function basic({ username, password }: { readonly username: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

interface HttpRequest {
  /** The subject of errors. */
  readonly name: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** A form to POST; without it the request is a GET. */
  readonly form?: URLSearchParams;
  /** The authorization for another origin that a redirect leads to; by default none. */
  readonly authorize?: (origin: string) => string | undefined;
}

/** Sends requests; every HTTP status is an answer, every other failure a TransferError. */
export type SendRequest = (request: HttpRequest) => Promise<Response>;

/** About as many as curl and browsers follow. */
const MAX_REDIRECTS = 10;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Headers that belong to one origin only (fetch standard, "HTTP-redirect fetch"). */
const SECRET_HEADERS: ReadonlySet<string> = new Set(["authorization", "cookie"]);

/**
 * A client of HTTP(S) servers that uses HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the agent's environment, which fetch() of bun
 * supports by itself (measured with 1.4.5: names, suffixes and networks in NO_PROXY). Certificates are checked with bun's built-in
 * list, the host's (/etc/ssl/certs, SSL_CERT_FILE, SSL_CERT_DIR) and NODE_EXTRA_CA_CERTS; the compiled executable does so by
 * default (measured).
 *
 * @param ca file of additional trusted certificates in PEM; read at the first request
 */
export function httpClient(ca?: string): SendRequest {
  let trusted: Promise<{ readonly tls?: { readonly ca: string[] } }> | undefined;
  return async ({ name, url, headers, signal, form, authorize }) => {
    trusted ??= tlsOptions(ca);
    const tls = await trusted;
    let at = url;
    let kept = { "accept-encoding": "identity", ...headers };
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
      const response = await request({ name, host: at.host }, signal, () =>
        fetch(at, {
          ...tls,
          headers: kept,
          signal,
          // Content is kept as stored: its digest is that of the compressed form.
          decompress: false,
          redirect: "manual",
          // The driver has its own timeout, for received data.
          timeout: false,
          ...(form === undefined ? {} : { method: "POST", body: form }),
        }),
      );
      const next = REDIRECTS.has(response.status) ? response.headers.get("location") : null;
      if (next === null || form !== undefined) return response;
      await response.body?.cancel();
      const target = redirected(at, next);
      if (target === undefined) throw redirectError({ name, host: at.host });
      if (target.origin !== at.origin) {
        const authorization = authorize?.(target.origin);
        kept = { ...withoutSecrets(kept), "accept-encoding": "identity", ...defined({ authorization }) };
      }
      at = target;
    }
    throw new TransferError(`${capital(name)} could not be fetched: too many redirects (${at.host}).`, {
      problem: "server",
      recoverable: false,
    });
  };
}

/** With `ca`, fetch() trusts nothing else, so the default certificates have to be included. */
async function tlsOptions(ca: string | undefined): Promise<{ readonly tls?: { readonly ca: string[] } }> {
  if (ca === undefined) return {};
  try {
    return { tls: { ca: [...getCACertificates("default"), await readFile(ca, "utf8")] } };
  } catch (error) {
    throw new TransferError(
      `Cannot read the certificates in ${ca} (plugin option registry.ca): ${errnoCode(error) ?? "no reason given"}.`,
      { problem: "certificate", recoverable: false, cause: error },
    );
  }
}

/**
 * The target of a redirect; undefined if it must not be followed: to anything but HTTP, or from an encrypted connection
 * to an unencrypted one.
 */
export function redirected(from: URL, location: string): URL | undefined {
  const target = URL.parse(location, from.href);
  if (target === null) return undefined;
  const kept = target.protocol === "https:" || (target.protocol === "http:" && from.protocol === "http:");
  return kept ? target : undefined;
}

/** The error for an HTTP status other than success, with the error code in the body of a registry's answer. */
export async function refusal(name: string, response: Response): Promise<TransferError> {
  const subject = { name, host: hostOf(response) };
  const limit = response.status === 429 ? rateLimit(response.headers) : undefined;
  const after = retryAfterMs(response.headers.get("retry-after"), Date.now());
  const code = /json/.test(response.headers.get("content-type") ?? "")
    ? registryCode(await firstBytes(response))
    : undefined;
  if (code === undefined && !response.bodyUsed) await response.body?.cancel();
  return statusError(subject, response.status, { retryAfterMs: after, code, limit });
}

/** Host and port of an answer, after redirects. */
export function hostOf(response: Response): string {
  return URL.parse(response.url)?.host ?? "the server";
}

/** The code of an error body (OCI distribution spec, "Error Codes"). Its message is untrusted text and is not shown. */
function registryCode(body: string): string | undefined {
  return /"code"\s*:\s*"([A-Z][A-Z_]{1,40})"/.exec(body)?.[1];
}

/** The first bytes of a body of any length; "" if it breaks off, because the status says the most. */
async function firstBytes(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  try {
    const { value } = await reader.read();
    return Buffer.from(value ?? []).toString("utf8", 0, 4096);
  } catch {
    return "";
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function request(subject: Subject, signal: AbortSignal, send: () => Promise<Response>): Promise<Response> {
  if (signal.aborted) throw abortError(subject, signal);
  try {
    return await send();
  } catch (error) {
    throw signal.aborted ? abortError(subject, signal) : networkError(subject, error);
  }
}

function withoutSecrets(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !SECRET_HEADERS.has(name.toLowerCase())));
}

function redirectError({ name, host }: Subject): TransferError {
  return new TransferError(
    `${capital(name)} could not be fetched: ${host} redirects to a URL that is not HTTP(S), or from HTTPS to HTTP.`,
    { problem: "server", recoverable: false },
  );
}

/**
 * Reads a small body completely.
 *
 * @param most maximum size in bytes
 * @throws TransferError
 */
export async function readBytes(
  content: AsyncIterable<Uint8Array> | Response,
  most: number,
  subject: Subject,
): Promise<Buffer> {
  const stream = content instanceof Response ? content.body : content;
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const part of stream ?? []) {
      bytes += part.length;
      if (bytes > most) throw contentError(subject, `it exceeds the limit of ${most} bytes`, false);
      parts.push(part);
    }
  } catch (error) {
    throw networkError(subject, error);
  }
  return Buffer.concat(parts);
}
