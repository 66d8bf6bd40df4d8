import { readFile } from "node:fs/promises";
import { getCACertificates } from "node:tls";
import { errnoCode } from "../../host/errno";
import { retryAfterMs } from "./patience";
import { abortError, capital, networkError, type Subject, statusError, TransferError } from "./transfer-error";

/** One request. */
export interface HttpRequest {
  /** What it is about, in errors. */
  readonly name: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** A form that is posted; a GET where absent. */
  readonly form?: URLSearchParams;
}

/** Sends requests; every status is an answer, everything else that goes wrong a TransferError. */
export type SendRequest = (request: HttpRequest) => Promise<Response>;

/** As many as curl and browsers follow, roughly. */
const MAX_REDIRECTS = 10;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** What belongs to the origin that it was made for (fetch standard, "HTTP-redirect fetch"). */
const SECRET_HEADERS: ReadonlySet<string> = new Set(["authorization", "cookie"]);

/**
 * A client of HTTP(S) servers by way of HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the agent's environment, which fetch() of bun
 * heeds by itself (measured with 1.4.5: names, suffixes and networks in NO_PROXY). Certificates are checked with bun's own
 * list, the host's (/etc/ssl/certs, SSL_CERT_FILE, SSL_CERT_DIR) and NODE_EXTRA_CA_CERTS; the compiled executable does so without
 * being told (measured).
 *
 * @param ca file of certificates in PEM that are trusted besides; read at the first request
 */
export function httpClient(ca?: string): SendRequest {
  let trusted: Promise<{ readonly tls?: { readonly ca: string[] } }> | undefined;
  return async ({ name, url, headers, signal, form }) => {
    trusted ??= trust(ca);
    const tls = await trusted;
    let at = url;
    let kept = { "accept-encoding": "identity", ...headers };
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
      const response = await request({ name, host: at.host }, signal, () =>
        fetch(at, {
          ...tls,
          headers: kept,
          signal,
          // Content comes as it is stored: its digest is that of the compressed form.
          decompress: false,
          redirect: "manual",
          // Ours is by what arrives.
          timeout: false,
          ...(form === undefined ? {} : { method: "POST", body: form }),
        }),
      );
      const next = REDIRECTS.has(response.status) ? response.headers.get("location") : null;
      if (next === null || form !== undefined) return response;
      await response.body?.cancel();
      const target = redirected(at, next);
      if (target === undefined) throw strayError({ name, host: at.host });
      if (target.origin !== at.origin) kept = { ...withoutSecrets(kept), "accept-encoding": "identity" };
      at = target;
    }
    throw new TransferError(`${capital(name)} could not be fetched: ${at.host} redirects without end.`, {
      problem: "server",
      recoverable: false,
    });
  };
}

/** fetch() trusts what it is given and nothing else, so the usual certificates have to be among it. */
async function trust(ca: string | undefined): Promise<{ readonly tls?: { readonly ca: string[] } }> {
  if (ca === undefined) return {};
  try {
    return { tls: { ca: [...getCACertificates("default"), await readFile(ca, "utf8")] } };
  } catch (error) {
    throw new TransferError(
      `The certificates in ${ca} (plugin option registry.ca) cannot be read: ${errnoCode(error) ?? "no reason given"}.`,
      { problem: "certificate", recoverable: false, cause: error },
    );
  }
}

/**
 * Where a redirect leads; undefined where it must not be followed: to something else than HTTP, or from an encrypted connection
 * to one that is not.
 */
export function redirected(from: URL, location: string): URL | undefined {
  const target = URL.parse(location, from.href);
  if (target === null) return undefined;
  const kept = target.protocol === "https:" || (target.protocol === "http:" && from.protocol === "http:");
  return kept ? target : undefined;
}

/** The error for a status that is no success, with the code in the body of a registry's answer. */
export async function refusal(name: string, response: Response): Promise<TransferError> {
  const subject = { name, host: hostOf(response) };
  const after = retryAfterMs(response.headers.get("retry-after"), Date.now());
  const code = /json/.test(response.headers.get("content-type") ?? "")
    ? registryCode(await beginning(response))
    : undefined;
  if (code === undefined && !response.bodyUsed) await response.body?.cancel();
  return statusError(subject, response.status, after, code);
}

/** Host and port that an answer came from, redirects followed. */
export function hostOf(response: Response): string {
  return URL.parse(response.url)?.host ?? "the server";
}

/** The code of an error body (OCI distribution spec, "Error Codes"). Its message is a stranger's text and is not told. */
function registryCode(body: string): string | undefined {
  return /"code"\s*:\s*"([A-Z][A-Z_]{1,40})"/.exec(body)?.[1];
}

/** The first bytes of a body, however long it is; "" where it breaks off, since the status says the most. */
async function beginning(response: Response): Promise<string> {
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

function strayError({ name, host }: Subject): TransferError {
  return new TransferError(
    `${capital(name)} could not be fetched: ${host} redirects to something that is not HTTP, or not encrypted as it is itself.`,
    { problem: "server", recoverable: false },
  );
}
