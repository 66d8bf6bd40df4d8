import { Code, ConnectError } from "@connectrpc/connect";
import { RecoverableErrorSchema } from "../../gen/hashicorp/nomad/plugins/shared/structs/recoverable_error_pb";
import { errorText } from "../host/error-text";

/**
 * Any error as the gRPC status a Nomad agent expects: code Unknown with the sentence as its message.
 *
 * @param recoverable for a start: whether the agent may try again by itself, told as a detail of the status
 */
export function rpcError(error: unknown, recoverable?: boolean): ConnectError {
  if (error instanceof ConnectError) return error;
  const details = recoverable === undefined ? [] : [{ desc: RecoverableErrorSchema, value: { recoverable } }];
  return new ConnectError(errorText(error), Code.Unknown, undefined, details, error);
}

/** Wraps a handler so that what it throws reaches the agent as it is; Connect would hide it as an internal error. */
export function rpc<Request, Response>(
  handler: (request: Request) => Promise<Response> | Response,
): (request: Request) => Promise<Response> {
  return async (request) => {
    try {
      return await handler(request);
    } catch (error) {
      throw rpcError(error);
    }
  };
}

/** Wraps a stream of answers so that what it throws reaches the agent as it is. */
export async function* rpcStream<Response>(responses: AsyncIterable<Response>): AsyncGenerator<Response> {
  try {
    yield* responses;
  } catch (error) {
    throw rpcError(error);
  }
}

/** Settles like `promise`, unless the caller goes away first. */
export function whileAsked<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = () => reject(new ConnectError("the caller went away", Code.Canceled));
    if (signal.aborted) return aborted();
    signal.addEventListener("abort", aborted, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", aborted));
  });
}
