import { connect } from "node:net";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { BasePlugin } from "../../../gen/hashicorp/nomad/plugins/base/proto/base_pb";
import { Driver } from "../../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { GRPCController } from "../../../gen/plugin/grpc_controller_pb";

/** The services of a plugin, as an agent calls them. */
export interface PluginClient {
  readonly base: Client<typeof BasePlugin>;
  readonly driver: Client<typeof Driver>;
  readonly controller: Client<typeof GRPCController>;
  /** Ends the connection; calls under way fail. */
  close(): void;
}

/** Connects to a plugin's unix socket on the first call. */
export function connectPlugin(socketPath: string): PluginClient {
  // The host name in the URL is not used: every connection goes to the socket.
  const baseUrl = "http://plugin";
  const sessionManager = new Http2SessionManager(baseUrl, undefined, {
    createConnection: () => connect({ path: socketPath }),
  });
  const transport = createGrpcTransport({ baseUrl, sessionManager });
  return {
    base: createClient(BasePlugin, transport),
    driver: createClient(Driver, transport),
    controller: createClient(GRPCController, transport),
    close: () => sessionManager.abort(),
  };
}
