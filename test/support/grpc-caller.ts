/** gRPC calls by @grpc/grpc-js, an implementation that shares no code with the plugin's server, typed by gen/. */

import {
  create,
  type DescMessage,
  type DescMethodBiDiStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type CallOptions,
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";

/** The message size limit of the agent's own client. */
const messageLimit = 64 * 1024 * 1024;

/** The parts of a generated service method that a call needs. */
interface Callable {
  readonly name: string;
  readonly parent: { readonly typeName: string };
}

/** The two type parameters of a method descriptor, as gen/ carries them. */
type Unary<I extends DescMessage, O extends DescMessage> = Callable &
  Pick<DescMethodUnary<I, O>, "methodKind" | "input" | "output">;
type ServerStreaming<I extends DescMessage, O extends DescMessage> = Callable &
  Pick<DescMethodServerStreaming<I, O>, "methodKind" | "input" | "output">;
type BiDi<I extends DescMessage, O extends DescMessage> = Callable &
  Pick<DescMethodBiDiStreaming<I, O>, "methodKind" | "input" | "output">;

/** Timeout and cancellation of a call. */
export interface CallLimits {
  /** Milliseconds until the call ends with DEADLINE_EXCEEDED; none where absent. */
  readonly timeout?: number;
  /** Cancels the call. */
  readonly signal?: AbortSignal;
}

/** The messages of a server stream; leaving a loop over them cancels the call. */
export interface Responses<T> extends AsyncIterable<T> {
  cancel(): void;
}

/** Both directions of a bidirectional call. */
export interface DhcpSession<I, O> {
  /** Resolves once the message was accepted by flow control. */
  send(message: I): Promise<void>;
  /** Ends the sending side. */
  end(): void;
  readonly responses: Responses<O>;
}

/** One connection to a plugin's unix socket. Failed calls reject with grpc-js's ServiceError (`code`, `details`). */
export class GrpcCaller {
  readonly #client: Client;

  constructor(socketPath: string) {
    this.#client = new Client(`unix:${socketPath}`, credentials.createInsecure(), {
      "grpc.max_receive_message_length": messageLimit,
      "grpc.max_send_message_length": messageLimit,
      // Never a shared connection: a test that kills a plugin must not disturb the next one's.
      "grpc.use_local_subchannel_pool": 1,
    });
  }

  /** One request, one response. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: Unary<I, O>,
    request: MessageInitShape<I>,
    limits: CallLimits = {},
  ): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        path(method),
        encoder(method.input),
        decoder(method.output),
        create(method.input, request),
        new Metadata(),
        callOptions(limits),
        (error, answer) => {
          if (error !== null) reject(error);
          else if (answer === undefined) reject(new Error(`${path(method)} gave neither an answer nor an error`));
          else resolve(answer);
        },
      );
      cancelOn(limits.signal, call);
    });
  }

  /** One request, a stream of responses. */
  serverStream<I extends DescMessage, O extends DescMessage>(
    method: ServerStreaming<I, O>,
    request: MessageInitShape<I>,
    limits: CallLimits = {},
  ): Responses<MessageShape<O>> {
    const call = this.#client.makeServerStreamRequest(
      path(method),
      encoder(method.input),
      decoder(method.output),
      create(method.input, request),
      new Metadata(),
      callOptions(limits),
    );
    cancelOn(limits.signal, call);
    return responses(call);
  }

  /** A stream in both directions. */
  bidi<I extends DescMessage, O extends DescMessage>(
    method: BiDi<I, O>,
    limits: CallLimits = {},
  ): DhcpSession<MessageInitShape<I>, MessageShape<O>> {
    const call: ClientDuplexStream<MessageShape<I>, MessageShape<O>> = this.#client.makeBidiStreamRequest(
      path(method),
      encoder(method.input),
      decoder(method.output),
      new Metadata(),
      callOptions(limits),
    );
    cancelOn(limits.signal, call);
    return {
      send: (message) =>
        new Promise((resolve, reject) => {
          call.write(create(method.input, message), (error: Error | null | undefined) => {
            if (error) reject(error);
            else resolve();
          });
        }),
      end: () => call.end(),
      responses: responses(call),
    };
  }

  /** Closes the connection; calls in progress fail. */
  close(): void {
    this.#client.close();
  }
}

/** True for an error of a call, as opposed to any other. */
export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "details" in error && "metadata" in error;
}

function path(method: Callable): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function encoder<T extends DescMessage>(schema: T): (message: MessageShape<T>) => Buffer {
  return (message) => Buffer.from(toBinary(schema, message));
}

function decoder<T extends DescMessage>(schema: T): (bytes: Buffer) => MessageShape<T> {
  return (bytes) => fromBinary(schema, bytes);
}

function callOptions({ timeout }: CallLimits): CallOptions {
  return timeout === undefined ? {} : { deadline: Date.now() + timeout };
}

function cancelOn(signal: AbortSignal | undefined, call: { cancel(): void }): void {
  if (signal?.aborted === true) call.cancel();
  else signal?.addEventListener("abort", () => call.cancel(), { once: true });
}

/** Resolves if the stream was cancelled from this side, rejects for every other error. */
function responses<T>(call: AsyncIterable<T> & { cancel(): void }): Responses<T> {
  let cancelled = false;
  const cancel = () => {
    cancelled = true;
    call.cancel();
  };
  return {
    cancel,
    async *[Symbol.asyncIterator]() {
      try {
        yield* call;
      } catch (error) {
        if (!cancelled) throw error;
      } finally {
        cancel();
      }
    },
  };
}
