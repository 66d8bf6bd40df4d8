import { create } from "@bufbuild/protobuf";
import {
  type CapabilitiesResponse,
  CapabilitiesResponseSchema,
  DriverCapabilities_FSIsolation,
  DriverCapabilities_MountConfigs,
  NetworkIsolationSpec_NetworkIsolationMode,
} from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";

/** The driver's capabilities. */
export function capabilities(): CapabilitiesResponse {
  return create(CapabilitiesResponseSchema, {
    capabilities: {
      sendSignals: true,
      exec: true,
      fsIsolation: DriverCapabilities_FSIsolation.FS_ISOLATION_IMAGE,
      networkIsolationModes: [
        NetworkIsolationSpec_NetworkIsolationMode.HOST,
        NetworkIsolationSpec_NetworkIsolationMode.GROUP,
        NetworkIsolationSpec_NetworkIsolationMode.NONE,
      ],
      mountConfigs: DriverCapabilities_MountConfigs.ANY,
    },
  });
}
