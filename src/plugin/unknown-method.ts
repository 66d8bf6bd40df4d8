import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { Code } from "@connectrpc/connect";

/** Longest part of a method's path that is quoted in the response, in characters. */
const MAX_SHOWN = 200;

/**
 * A gRPC response with only headers, for a call that was not started: status and message are in the single block of headers
 * that also ends the stream ("Trailers-Only" in gRPC's PROTOCOL-HTTP2.md). The message is percent-encoded, as that document requires.
 */
export function unimplementedHeaders(path: string): Readonly<Record<string, string | number>> {
  return {
    ":status": 200,
    "content-type": "application/grpc",
    "grpc-status": String(Code.Unimplemented),
    "grpc-message": encodeURIComponent(`unknown method ${path.slice(0, MAX_SHOWN)}`),
  };
}

/**
 * Responds to a call of a method or service that this plugin does not have. An agent newer than the driver treats UNIMPLEMENTED
 * as "not supported". grpc-go turns an HTTP 404 without trailers into INTERNAL, upon which Nomad gives up on the plugin.
 */
export function answerUnknownMethod(request: Http2ServerRequest, response: Http2ServerResponse): void {
  // The request's messages are discarded: unread, they would fill the connection's flow-control window.
  request.resume();
  response.stream.respond(unimplementedHeaders(request.url), { endStream: true });
}
