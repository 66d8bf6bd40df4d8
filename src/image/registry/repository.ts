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

/** How one server of a repository is authenticated to: the registry, or another one that it redirects to. */
interface Server {
  /** Only the registry itself gets the credentials. */
  readonly own: boolean;
  challenge: Challenge | undefined;
  authorization: Authorization | undefined;
  /** Pending request: readers of several layers wait for one token. */
  renewal: Promise<Authorization> | undefined;
}

/** A request of a repository. */
interface RepositoryRequest {
  /** The subject of errors. */
  readonly name: string;
  /** Below the repository, such as "blobs/sha256:…". */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * A request is repeated so often with another authorization: a registry may ask for a token, then for one with another scope, and
 * redirect to another one that asks for its own.
 */
const MAX_CHALLENGES = 4;

/** A repository of a registry, with the authentication that the registry requires. */
export class Repository {
  readonly host: string;
  readonly #reference: ImageReference;
  readonly #access: RepositoryAccess;
  /** Undefined until it is known. */
  #scheme: "https" | "http" | undefined;
  readonly #own: Server = { own: true, challenge: undefined, authorization: undefined, renewal: undefined };
  /** Servers that this registry redirects to and that asked for a token, by origin. */
  readonly #others = new Map<string, Server>();

  constructor(reference: ImageReference, access: RepositoryAccess) {
    this.#reference = reference;
    this.#access = access;
    this.host = registryHost(reference.registry);
    if (access.plainHttp) this.#scheme = "http";
    else if (!isLocalRegistry(reference.registry)) this.#scheme = "https";
  }

  /**
   * Requests something from the repository. A server that the registry redirects to, as a name of one's own in front of another
   * registry does, gets a token for everyone if it asks for one, and never the credentials.
   *
   * @throws TransferError; every status but 401 counts as an answer
   */
  async get(request: RepositoryRequest): Promise<Response> {
    const { name, signal } = request;
    let rejected: Authorization | undefined;
    for (let challenges = 0; challenges < MAX_CHALLENGES; challenges += 1) {
      const authorization = await this.#current(this.#own, name, signal);
      const response = await this.#send(request, authorization);
      if (response.status !== 401) return response;
      const server = this.#serverOf(response);
      // Another request may have got a new token meanwhile.
      const before = server.own ? authorization : server.authorization;
      // A token that is rejected too early may be rejected without a new challenge.
      const challenge = parseChallenge(response.headers.get("www-authenticate")) ?? server.challenge;
      const known = sameChallenge(challenge, server.challenge);
      if (challenge === undefined || (!server.own && challenge.scheme === "basic")) throw await refusal(name, response);
      // It was made for this very challenge, and is new: another one would be rejected as well.
      if (known && before !== undefined && before === rejected) {
        if (!server.own) throw await refusal(name, response);
        await response.body?.cancel();
        break;
      }
      await response.body?.cancel();
      if (!server.own) this.#others.set(originOf(response.url), server);
      server.challenge = challenge;
      if (server.authorization === before) server.authorization = undefined;
      rejected = await this.#current(server, name, signal);
    }
    throw new TransferError(
      `${capital(name)} could not be fetched: ${this.host} rejected the credentials, or requires some (HTTP status 401; some registries answer so for images that do not exist).`,
      { problem: "unauthorized", recoverable: false },
    );
  }

  /** The server that an answer comes from. */
  #serverOf({ url }: Response): Server {
    const origin = originOf(url);
    if (origin === new URL(`${this.#scheme}://${this.host}`).origin) return this.#own;
    return (
      this.#others.get(origin) ?? { own: false, challenge: undefined, authorization: undefined, renewal: undefined }
    );
  }

  /** The authentication to send; none until the server has requested it. */
  async #current(server: Server, name: string, signal: AbortSignal): Promise<Authorization | undefined> {
    const { challenge, authorization: known } = server;
    if (challenge === undefined) return undefined;
    if (known !== undefined && known.until > Date.now()) return known;
    server.renewal ??= this.#renew(server.own, name, challenge, signal).finally(() => {
      server.renewal = undefined;
    });
    server.authorization = await server.renewal;
    return server.authorization;
  }

  async #renew(own: boolean, name: string, challenge: Challenge, signal: AbortSignal): Promise<Authorization> {
    const credentials = own ? await this.#credentials(name, signal) : undefined;
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
  async #send(request: RepositoryRequest, authorization: Authorization | undefined): Promise<Response> {
    const { name, path, headers, signal } = request;
    const all = authorization === undefined ? headers : { ...headers, authorization: authorization.header };
    // A token that has expired is rejected, and then replaced.
    const authorize = (origin: string) => this.#others.get(origin)?.authorization?.header;
    const ask = (scheme: "https" | "http") => {
      const url = new URL(`${scheme}://${this.host}/v2/${this.#reference.repository}/${path}`);
      return this.#access.send({ name, url, headers: all, signal, authorize });
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

function originOf(url: string): string {
  return URL.parse(url)?.origin ?? "";
}

function sameChallenge(one: Challenge | undefined, other: Challenge | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
