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
