import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus } from "../../gen/grpc/health/v1/health_pb";
import { GRPCBroker } from "../../gen/plugin/grpc_broker_pb";
import { GRPCController } from "../../gen/plugin/grpc_controller_pb";
import { GRPCStdio } from "../../gen/plugin/grpc_stdio_pb";
import { aborted } from "../lib/deadline";

const PLUGIN_SERVICE = "plugin";

/** Registers grpc.health.v1.Health: go-plugin's client checks the service "plugin" before it uses it. */
export function registerHealth(router: ConnectRouter): void {
  const statusOf = (service: string) => {
    if (service === "" || service === PLUGIN_SERVICE) return HealthCheckResponse_ServingStatus.SERVING;
    throw new ConnectError(`unknown service "${service}"`, Code.NotFound);
  };
  router.service(Health, {
    check: ({ service }) => ({ status: statusOf(service) }),
    async *watch({ service }, context) {
      yield { status: statusOf(service) };
      await aborted(context.signal);
    },
  });
}

/** Registers GRPCController: its Shutdown stops the plugin after the response has been sent. */
export function registerController(router: ConnectRouter, shutdown: () => void): void {
  router.service(GRPCController, {
    shutdown: () => {
      shutdown();
      return {};
    },
  });
}

/** Registers GRPCStdio: the plugin prints nothing after the handshake, but the client expects an open stream. */
export function registerStdio(router: ConnectRouter): void {
  router.service(GRPCStdio, {
    async *streamStdio(_request, context) {
      await aborted(context.signal);
      yield* [];
    },
  });
}

/** Registers GRPCBroker: Nomad's drivers open no further connections, so the stream only stays open. */
export function registerBroker(router: ConnectRouter): void {
  router.service(GRPCBroker, {
    async *startStream(_requests, context) {
      await aborted(context.signal);
      yield* [];
    },
  });
}

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
