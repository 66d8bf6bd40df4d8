/** The cookie with which a Nomad agent announces itself to a plugin (nomad's plugins/base package). */
export const MAGIC_COOKIE_KEY = "NOMAD_PLUGIN_MAGIC_COOKIE";
export const MAGIC_COOKIE_VALUE = "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255";

/** The only versions of go-plugin's core protocol and of Nomad's plugin protocol. */
const CORE_PROTOCOL = 1;
const NOMAD_PROTOCOL = 2;

export type Environment = Readonly<Record<string, string | undefined>>;

/** Thrown when an agent requests a protocol that this plugin does not support. */
export class HandshakeError extends Error {
  override readonly name = "HandshakeError";
}

/** True when a Nomad agent started this process as a plugin. */
export function isPluginEnvironment(env: Environment): boolean {
  return env[MAGIC_COOKIE_KEY] === MAGIC_COOKIE_VALUE;
}

/**
 * Checks the agent's handshake (go-plugin's PLUGIN_* variables).
 *
 * @throws HandshakeError if the protocol version is unknown or mutual TLS is required, which Nomad does not use
 */
export function checkHandshake(env: Environment): void {
  const offered = env["PLUGIN_PROTOCOL_VERSIONS"];
  if (offered !== undefined && !offered.split(",").includes(String(NOMAD_PROTOCOL))) {
    throw new HandshakeError(
      `The agent offers plugin protocol versions "${offered}"; this driver supports version ${NOMAD_PROTOCOL}. Use compatible versions of agent and driver.`,
    );
  }
  if (env["PLUGIN_CLIENT_CERT"]) {
    throw new HandshakeError(
      "The agent requires mutual TLS (PLUGIN_CLIENT_CERT is set), which this driver does not support; Nomad does not use it for task drivers.",
    );
  }
}

/** The handshake line that a plugin prints on stdout: the address and the protocol on which it listens. */
export function handshakeLine(socketPath: string): string {
  return `${CORE_PROTOCOL}|${NOMAD_PROTOCOL}|unix|${socketPath}|grpc\n`;
}
