import { errnoCode } from "../../host/errno";
import { errorText } from "../../host/error-text";
import { SourceError, type SourceProblem } from "../source";

/** Something that went wrong on the way, with what that means for another try. */
export class TransferError extends SourceError {
  /** Whether another request at once, or after a pause, may do better. */
  readonly again: boolean;
  /** Milliseconds that the server asks to wait before it. */
  readonly afterMs: number | undefined;

  constructor(
    message: string,
    options: {
      readonly problem: SourceProblem;
      readonly recoverable: boolean;
      readonly again?: boolean;
      readonly afterMs?: number | undefined;
      readonly cause?: unknown;
    },
  ) {
    super(message, options);
    this.again = options.again ?? false;
    this.afterMs = options.afterMs;
  }
}

/** What could not be fetched, and from where: the beginning of every sentence about it. */
export interface Subject {
  /** Such as `image "docker.io/library/alpine:latest"`. */
  readonly name: string;
  /** Host and port. Nothing else of a URL is ever told: its query may be as good as a password. */
  readonly host: string;
}

interface StatusMeaning {
  readonly problem: SourceProblem;
  readonly means: (host: string) => string;
  readonly recoverable?: true;
}

const STATUSES: Readonly<Record<number, StatusMeaning>> = {
  401: { problem: "unauthorized", means: (host) => `${host} asks for credentials, or does not accept the given ones` },
  403: { problem: "unauthorized", means: (host) => `${host} does not allow it with these credentials` },
  404: { problem: "not found", means: (host) => `${host} does not have it` },
  408: { problem: "timeout", means: (host) => `${host} did not get the request in time`, recoverable: true },
  410: { problem: "not found", means: (host) => `${host} does not have it any more` },
  416: { problem: "server", means: (host) => `${host} cannot go on in the middle`, recoverable: true },
  429: { problem: "rate limited", means: (host) => `${host} takes no more requests for now`, recoverable: true },
};

/** What an HTTP status other than success means. `code` is the server's own word for it, such as "MANIFEST_UNKNOWN". */
export function statusError(subject: Subject, status: number, afterMs?: number, code?: string): TransferError {
  const server = status >= 500;
  const known: StatusMeaning = STATUSES[status] ?? {
    problem: "server",
    means: (host) => `${host} ${server ? "failed" : "refused the request"}`,
    ...(server ? { recoverable: true } : {}),
  };
  const recoverable = known.recoverable === true;
  const told = code === undefined ? `HTTP status ${status}` : `HTTP status ${status}, ${code}`;
  return new TransferError(`${capital(subject.name)} could not be fetched: ${known.means(subject.host)} (${told}).`, {
    problem: known.problem,
    recoverable,
    again: recoverable,
    afterMs,
  });
}

/** BoringSSL's and bun's codes for a certificate that cannot be trusted, or no TLS at all. */
const CERTIFICATE = /CERT|SIGNATURE_FAILURE|UNABLE_TO_GET_ISSUER|UNABLE_TO_VERIFY|SELF_SIGNED|HOSTNAME_MISMATCH/;

/** What an error thrown by fetch() or while a body is read means. */
export function networkError(subject: Subject, error: unknown): TransferError {
  if (error instanceof TransferError) return error;
  const code = errnoCode(error) ?? "";
  const fail = (
    why: string,
    problem: SourceProblem,
    { recoverable, again }: { readonly recoverable: boolean; readonly again: boolean },
  ) =>
    new TransferError(`${capital(subject.name)} could not be fetched: ${why}.`, {
      problem,
      recoverable,
      again,
      cause: error,
    });
  const { host } = subject;
  if (code === "ENOTFOUND") {
    return fail(`the host ${host} was not found (DNS)`, "name", { recoverable: true, again: false });
  }
  if (code.startsWith("EAI_") || code.startsWith("DNS_") || code === "ETIMEOUT" || code === "ESERVFAIL") {
    return fail(`no name server answered for the host ${host} (${code})`, "name", { recoverable: true, again: true });
  }
  if (code === "EPROTO") {
    return fail(`${host} does not speak TLS, or not a version of it that both sides know`, "certificate", {
      recoverable: false,
      again: false,
    });
  }
  if (CERTIFICATE.test(code)) {
    return fail(`the certificate of ${host} cannot be trusted (${code})`, "certificate", {
      recoverable: false,
      again: false,
    });
  }
  if (code === "ECONNREFUSED") return fail(`${host} refuses connections`, "connection", AGAIN);
  if (code === "ECONNRESET") return fail(`${host} broke off the connection`, "connection", AGAIN);
  if (code === "ETIMEDOUT") return fail(`${host} does not answer`, "timeout", AGAIN);
  return fail(`the connection to ${host} failed (${code === "" ? errorText(error) : code})`, "connection", AGAIN);
}

const AGAIN = { recoverable: true, again: true } as const;

/** Nothing came for so long that the connection counts as dead. */
export function silenceError(subject: Subject, ms: number): TransferError {
  return new TransferError(
    `${capital(subject.name)} could not be fetched: ${subject.host} sent nothing for ${ms / 1000} s.`,
    { problem: "timeout", ...AGAIN },
  );
}

/** What came is not what it should be. Something on the way may have changed it, so a later try can be better. */
export function contentError(subject: Subject, why: string, recoverable = true): TransferError {
  return new TransferError(`${capital(subject.name)} from ${subject.host} cannot be used: ${why}.`, {
    problem: "content",
    recoverable,
  });
}

/** Why a signal ended a transfer: its time was up (AbortSignal.timeout()), or nobody wants it any more. */
export function abortError(subject: Subject, signal: AbortSignal): TransferError {
  const { reason } = signal;
  if (reason instanceof TransferError) return reason;
  if (reason instanceof DOMException && reason.name === "TimeoutError") {
    return new TransferError(
      `${capital(subject.name)} could not be fetched from ${subject.host} in the time allowed (plugin option pull_timeout).`,
      { problem: "timeout", recoverable: true },
    );
  }
  return new TransferError(`The download of ${subject.name} from ${subject.host} was ended.`, {
    problem: "cancelled",
    recoverable: true,
  });
}

/** A sentence's beginning. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
