import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { Code } from "@connectrpc/connect";

/** Longest part of a method's path that is repeated in the answer, in characters. */
const maxShown = 200;

/**
 * A gRPC response of headers alone, as it ends a call that never began: status and message stand in the one block of headers
 * that also ends the stream ("Trailers-Only" in gRPC's PROTOCOL-HTTP2.md). The message is percent-encoded, as that document asks.
 */
export function unimplementedHeaders(path: string): Readonly<Record<string, string | number>> {
  return {
    ":status": 200,
    "content-type": "application/grpc",
    "grpc-status": String(Code.Unimplemented),
    "grpc-message": encodeURIComponent(`unknown method ${path.slice(0, maxShown)}`),
  };
}

/**
 * Answers a call of a method or service that this plugin does not have. An agent newer than the driver takes UNIMPLEMENTED for
 * "not supported". An HTTP 404 without trailers is INTERNAL to grpc-go, on which Nomad gives the plugin up.
 */
export function answerUnknownMethod(request: Http2ServerRequest, response: Http2ServerResponse): void {
  // The request's messages are not read: they must not fill the connection's flow-control window.
  request.resume();
  response.stream.respond(unimplementedHeaders(request.url), { endStream: true });
}
