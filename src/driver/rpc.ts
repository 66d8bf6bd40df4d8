import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { RecoverableErrorSchema } from "../../gen/hashicorp/nomad/plugins/shared/structs/recoverable_error_pb";
import { unlessAborted } from "../lib/deadline";
import { errorText } from "../lib/errors";

/** The log's message for a start that failed; the caller gets the error as well. */
export const START_FAILED = "task start failed";

/**
 * An error as the gRPC status that a Nomad agent expects: code Unknown, with the sentence as its message.
 *
 * @param recoverable for a start: whether the agent may retry it; sent as a detail of the status
 */
export function rpcError(error: unknown, recoverable?: boolean): ConnectError {
  if (error instanceof ConnectError) return error;
  const details = recoverable === undefined ? [] : [{ desc: RecoverableErrorSchema, value: { recoverable } }];
  return new ConnectError(errorText(error), Code.Unknown, undefined, details, error);
}

/** Wraps a handler so that its errors reach the agent unchanged; Connect would replace them by an internal error. */
export function rpc<Request, Response>(
  handler: (request: Request, context: HandlerContext) => Promise<Response> | Response,
): (request: Request, context: HandlerContext) => Promise<Response> {
  return async (request, context) => {
    try {
      return await handler(request, context);
    } catch (error) {
      throw rpcError(error);
    }
  };
}

/** As rpc(), for a request whose response has no fields. */
export function emptyRpc<Request>(handler: (request: Request) => Promise<void> | void) {
  return rpc(async (request: Request) => {
    await handler(request);
    return {};
  });
}

/** Wraps a response stream so that its errors reach the agent unchanged. */
export async function* rpcStream<Response>(responses: AsyncIterable<Response>): AsyncGenerator<Response> {
  try {
    yield* responses;
  } catch (error) {
    throw rpcError(error);
  }
}

/** Settles like `promise`, or rejects once the caller has disconnected. */
export function whileAsked<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return unlessAborted(promise, signal, () => new ConnectError("the caller disconnected", Code.Canceled));
}
