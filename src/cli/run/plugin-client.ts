import { connect } from "node:net";
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { BasePlugin } from "../../../gen/hashicorp/nomad/plugins/base/proto/base_pb";
import {
  Driver,
  type ExitResult,
  FingerprintResponse_HealthState,
  StartTaskResponse_Result,
  type TaskConfig,
  type TaskHandle,
} from "../../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { GRPCController } from "../../../gen/plugin/grpc_controller_pb";

type DriverClient = Client<typeof Driver>;

/** Checks that the driver can run tasks on this host. @throws Error with the driver's own reason */
export async function checkHealth(driver: DriverClient): Promise<void> {
  // Leaving the loop ends the stream: only the first response matters here.
  for await (const { health, healthDescription, err } of driver.fingerprint({})) {
    if (health === FingerprintResponse_HealthState.HEALTHY) return;
    throw new Error(err || healthDescription || "The driver cannot run tasks on this host; it reported no reason.");
  }
  throw new Error("The driver reported no health.");
}

/**
 * Starts a task.
 *
 * @returns what another plugin process needs to recover it
 * @throws Error with the driver's own sentence
 */
export async function startTask(driver: DriverClient, task: TaskConfig): Promise<TaskHandle> {
  const { result, driverErrorMsg, handle } = await plainErrors(driver.startTask({ task }));
  if (result !== StartTaskResponse_Result.SUCCESS) throw new Error(driverErrorMsg);
  if (handle === undefined) throw new Error("The driver started the task but returned no handle.");
  return handle;
}

/** Waits until a task exits, without a time limit. @throws Error if the driver does not know its exit status */
export async function taskEnd(driver: DriverClient, taskId: string): Promise<ExitResult> {
  const { result, err } = await plainErrors(driver.waitTask({ taskId }));
  if (result === undefined || err !== "") throw new Error(err || "The driver returned no exit status of the task.");
  return result;
}

/** Makes a failed call reject with the plugin's message alone, without the gRPC code before it. */
export async function plainErrors<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw error instanceof ConnectError ? new Error(error.rawMessage, { cause: error }) : error;
  }
}

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
