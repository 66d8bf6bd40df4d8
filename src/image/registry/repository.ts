import { errnoCode } from "../../lib/errors";
import { type ImageReference, isLocalRegistry, registryHost } from "../../values/image-reference";
import { basic, refusal, type SendRequest } from "../transfer/client";
import { capital, TransferError } from "../transfer/errors";
import { type Challenge, parseChallenge } from "./challenge";
import { type Credentials, CredentialsError } from "./credentials";
import { requestToken } from "./token";

interface RepositoryAccess {
  readonly send: SendRequest;
  /** Looks for credentials; called when the registry requires some. */
  readonly credentials: (signal: AbortSignal) => Promise<Credentials | undefined>;
  /** The operator allows plain HTTP for this registry. */
  readonly plainHttp: boolean;
}

interface Authorization {
  readonly header: string;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

/** A repository of a registry, with the authentication that the registry requires. */
export class Repository {
  readonly host: string;
  readonly #reference: ImageReference;
  readonly #access: RepositoryAccess;
  /** Undefined until it is known. */
  #scheme: "https" | "http" | undefined;
  #authorization: Authorization | undefined;
  /** Pending request: readers of several layers wait for one token. */
  #renewal: Promise<Authorization> | undefined;
  #challenge: Challenge | undefined;

  constructor(reference: ImageReference, access: RepositoryAccess) {
    this.#reference = reference;
    this.#access = access;
    this.host = registryHost(reference.registry);
    if (access.plainHttp) this.#scheme = "http";
    else if (!isLocalRegistry(reference.registry)) this.#scheme = "https";
  }

  /**
   * Requests something from the repository.
   *
   * @param name the subject of errors
   * @param path below the repository, such as "blobs/sha256:…"
   * @throws TransferError; every status but 401 counts as an answer
   */
  async get(
    name: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Response> {
    const before = await this.#current(name, signal);
    const response = await this.#send(name, path, headers, before, signal);
    if (response.status !== 401) return response;
    // Only the registry itself may request credentials, not a host that it redirects to.
    if (!this.#isOwn(response)) throw await refusal(name, response);
    // A token that is rejected too early may be rejected without a new challenge.
    this.#challenge = parseChallenge(response.headers.get("www-authenticate")) ?? this.#challenge;
    if (this.#challenge === undefined) throw await refusal(name, response);
    await response.body?.cancel();
    if (this.#authorization === before) this.#authorization = undefined;
    const after = await this.#current(name, signal);
    const second = await this.#send(name, path, headers, after, signal);
    if (second.status !== 401) return second;
    if (!this.#isOwn(second)) throw await refusal(name, second);
    await second.body?.cancel();
    throw new TransferError(
      `${capital(name)} could not be fetched: ${this.host} rejected the credentials, or requires some (HTTP status 401; some registries answer so for images that do not exist).`,
      { problem: "unauthorized", recoverable: false },
    );
  }

  /** Whether an answer comes from the registry itself, not from a host that it redirected to. */
  #isOwn({ url }: Response): boolean {
    return URL.parse(url)?.origin === new URL(`${this.#scheme}://${this.host}`).origin;
  }

  /** The authentication to send; none until the registry has requested it. */
  async #current(name: string, signal: AbortSignal): Promise<Authorization | undefined> {
    if (this.#challenge === undefined) return undefined;
    const known = this.#authorization;
    if (known !== undefined && known.until > Date.now()) return known;
    this.#renewal ??= this.#renew(name, this.#challenge, signal).finally(() => {
      this.#renewal = undefined;
    });
    this.#authorization = await this.#renewal;
    return this.#authorization;
  }

  async #renew(name: string, challenge: Challenge, signal: AbortSignal): Promise<Authorization> {
    const credentials = await this.#credentials(name, signal);
    if (challenge.scheme === "basic") {
      if (credentials?.kind === "password") return { header: basic(credentials), until: Number.POSITIVE_INFINITY };
      const has = credentials === undefined ? "and none are configured" : "not an identity token";
      throw new TransferError(
        `${capital(name)} could not be fetched: ${this.host} requires a user name and a password (HTTP status 401), ${has}.`,
        { problem: "unauthorized", recoverable: false },
      );
    }
    const { value, until } = await requestToken(this.#access.send, {
      name,
      challenge,
      scope: `repository:${this.#reference.repository}:pull`,
      credentials,
      plainHttp: this.#scheme === "http",
      signal,
    });
    return { header: `Bearer ${value}`, until };
  }

  async #credentials(name: string, signal: AbortSignal): Promise<Credentials | undefined> {
    try {
      return await this.#access.credentials(signal);
    } catch (error) {
      if (!(error instanceof CredentialsError)) throw error;
      throw new TransferError(`${capital(name)} could not be fetched: ${error.message}`, {
        problem: "unauthorized",
        recoverable: false,
        cause: error,
      });
    }
  }

  /** A registry on this machine may use TLS or, as with Docker, plain HTTP: the first request shows which. */
  async #send(
    name: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    authorization: Authorization | undefined,
    signal: AbortSignal,
  ): Promise<Response> {
    const all = authorization === undefined ? headers : { ...headers, authorization: authorization.header };
    const ask = (scheme: "https" | "http") => {
      const url = new URL(`${scheme}://${this.host}/v2/${this.#reference.repository}/${path}`);
      return this.#access.send({ name, url, headers: all, signal });
    };
    if (this.#scheme !== undefined) return ask(this.#scheme);
    try {
      const response = await ask("https");
      this.#scheme = "https";
      return response;
    } catch (error) {
      if (!(error instanceof TransferError) || errnoCode(error.cause) !== "EPROTO") throw error;
      const response = await ask("http");
      this.#scheme = "http";
      return response;
    }
  }
}
