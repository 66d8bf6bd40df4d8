import { errnoCode, errorText } from "../../lib/errors";
import { SourceError, type SourceProblem } from "../source";

/** A failed transfer, and whether it can be retried. */
export class TransferError extends SourceError {
  /** Whether a retry, at once or after a pause, may succeed. */
  readonly retryable: boolean;
  /** Milliseconds that the server asks to wait before it. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    options: {
      readonly problem: SourceProblem;
      readonly recoverable: boolean;
      readonly retryable?: boolean;
      readonly retryAfterMs?: number | undefined;
      readonly cause?: unknown;
    },
  ) {
    super(message, options);
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** What to fetch and from where: the subject of every error about it. */
export interface Subject {
  /** Such as `image "docker.io/library/alpine:latest"`. */
  readonly name: string;
  /** Host and port. No other part of a URL is ever shown: its query may be as good as a password. */
  readonly host: string;
}

interface StatusMeaning {
  readonly problem: SourceProblem;
  readonly means: (host: string) => string;
  readonly recoverable?: true;
}

const STATUSES: Readonly<Record<number, StatusMeaning>> = {
  401: { problem: "unauthorized", means: (host) => `${host} requires credentials, or rejected the given ones` },
  403: { problem: "unauthorized", means: (host) => `${host} denied access with these credentials` },
  404: { problem: "not found", means: (host) => `${host} does not have it` },
  408: { problem: "timeout", means: (host) => `${host} timed out waiting for the request`, recoverable: true },
  410: { problem: "not found", means: (host) => `${host} no longer has it` },
  416: { problem: "server", means: (host) => `${host} does not support this range request`, recoverable: true },
  429: { problem: "rate limited", means: (host) => `${host} applies a rate limit`, recoverable: true },
};

/** What a server says about a status. */
export interface StatusDetails {
  readonly retryAfterMs?: number | undefined;
  /** Its own error code, such as "MANIFEST_UNKNOWN". */
  readonly code?: string | undefined;
  /** See rateLimit(). */
  readonly limit?: string | undefined;
}

/**
 * The rate limit that an answer's headers name, such as "100 requests in 6 h, 0 left, counted for 192.0.2.1" (Docker Hub's
 * documentation, "Usage and limits", and the IETF's draft of RateLimit header fields); undefined if they name none.
 */
export function rateLimit(headers: Headers): string | undefined {
  const [, limit, seconds] = /^(\d{1,9})(?:\s*;\s*w=(\d{1,9}))?/.exec(headers.get("ratelimit-limit") ?? "") ?? [];
  if (limit === undefined) return undefined;
  const left = /^\d{1,9}/.exec(headers.get("ratelimit-remaining") ?? "")?.[0];
  const source = /^[\w.:-]{1,64}$/.exec(headers.get("docker-ratelimit-source") ?? "")?.[0];
  return [
    `${limit} requests${seconds === undefined ? "" : ` in ${period(Number(seconds))}`}`,
    ...(left === undefined ? [] : [`${left} left`]),
    ...(source === undefined ? [] : [`counted for ${source}`]),
  ].join(", ");
}

function period(seconds: number): string {
  return seconds % 3600 === 0 ? `${seconds / 3600} h` : `${seconds} s`;
}

/** The meaning of an HTTP status other than success. */
export function statusError(subject: Subject, status: number, details: StatusDetails = {}): TransferError {
  const { retryAfterMs, code, limit } = details;
  const server = status >= 500;
  const known: StatusMeaning = STATUSES[status] ?? {
    problem: "server",
    means: (host) => `${host} ${server ? "failed" : "refused the request"}`,
    ...(server ? { recoverable: true } : {}),
  };
  const recoverable = known.recoverable === true;
  const said = [`HTTP status ${status}`, code, limit].filter((each) => each !== undefined).join(", ");
  return new TransferError(`${capital(subject.name)} could not be fetched: ${known.means(subject.host)} (${said}).`, {
    problem: known.problem,
    recoverable,
    retryable: recoverable,
    retryAfterMs,
  });
}

/** BoringSSL's and bun's codes for an untrusted certificate, or a server without TLS. */
const CERTIFICATE = /CERT|SIGNATURE_FAILURE|UNABLE_TO_GET_ISSUER|UNABLE_TO_VERIFY|SELF_SIGNED|HOSTNAME_MISMATCH/;

/** The meaning of an error thrown by fetch() or while a body is read. */
export function networkError(subject: Subject, error: unknown): TransferError {
  if (error instanceof TransferError) return error;
  const code = errnoCode(error) ?? "";
  const fail = (why: string, problem: SourceProblem, retry: Pick<TransferError, "recoverable" | "retryable">) =>
    new TransferError(`${capital(subject.name)} could not be fetched: ${why}.`, { problem, ...retry, cause: error });
  const { host } = subject;
  if (code === "ENOTFOUND") {
    return fail(`the host ${host} was not found (DNS)`, "name", { ...RETRYABLE, retryable: false });
  }
  if (code.startsWith("EAI_") || code.startsWith("DNS_") || code === "ETIMEOUT" || code === "ESERVFAIL") {
    return fail(`no name server answered for the host ${host} (${code})`, "name", RETRYABLE);
  }
  if (code === "EPROTO") {
    return fail(`${host} does not speak TLS, or no TLS version that both sides support`, "certificate", PERMANENT);
  }
  if (CERTIFICATE.test(code)) {
    return fail(`the certificate of ${host} cannot be trusted (${code})`, "certificate", PERMANENT);
  }
  if (code === "ECONNREFUSED") return fail(`${host} refused the connection`, "connection", RETRYABLE);
  if (code === "ECONNRESET") return fail(`${host} reset the connection`, "connection", RETRYABLE);
  if (code === "ETIMEDOUT") return fail(`${host} does not answer`, "timeout", RETRYABLE);
  return fail(`the connection to ${host} failed (${code === "" ? errorText(error) : code})`, "connection", RETRYABLE);
}

const RETRYABLE = { recoverable: true, retryable: true } as const;
const PERMANENT = { recoverable: false, retryable: false } as const;

/** Nothing was received for so long that the connection counts as dead. */
export function silenceError(subject: Subject, ms: number): TransferError {
  return new TransferError(
    `${capital(subject.name)} could not be fetched: ${subject.host} sent nothing for ${ms / 1000} s.`,
    { problem: "timeout", ...RETRYABLE },
  );
}

/** The content is not as expected. A proxy may have changed it, so a retry may succeed. */
export function contentError(subject: Subject, why: string, recoverable = true): TransferError {
  return new TransferError(`${capital(subject.name)} from ${subject.host} cannot be used: ${why}.`, {
    problem: "content",
    recoverable,
  });
}

/** Why a signal ended a transfer: its deadline passed (AbortSignal.timeout()), or it was cancelled. */
export function abortError(subject: Subject, signal: AbortSignal): TransferError {
  const { reason } = signal;
  if (reason instanceof TransferError) return reason;
  if (reason instanceof DOMException && reason.name === "TimeoutError") {
    return new TransferError(
      `${capital(subject.name)} could not be fetched from ${subject.host}: timed out (option image_pull_timeout, or the plugin option pull_timeout).`,
      { problem: "timeout", recoverable: true },
    );
  }
  return new TransferError(`The download of ${subject.name} from ${subject.host} was cancelled.`, {
    problem: "cancelled",
    recoverable: true,
  });
}

/** Capitalizes the first letter. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
