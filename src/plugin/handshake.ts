/** The cookie with which a Nomad agent announces itself to a plugin (nomad's plugins/base package). */
export const magicCookieKey = "NOMAD_PLUGIN_MAGIC_COOKIE";
export const magicCookieValue = "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255";

/** The only versions of go-plugin's core protocol and of Nomad's plugin protocol. */
const coreProtocol = 1;
const nomadProtocol = 2;

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Thrown when an agent requests a protocol that this plugin does not support. */
export class HandshakeError extends Error {
  override readonly name = "HandshakeError";
}

/** True when a Nomad agent started this process as a plugin. */
export function isPluginEnvironment(env: Environment): boolean {
  return env[magicCookieKey] === magicCookieValue;
}

/**
 * Checks the agent's handshake (go-plugin's PLUGIN_* variables).
 *
 * @throws HandshakeError if the protocol version is unknown or mutual TLS is required, which Nomad does not use
 */
export function checkHandshake(env: Environment): void {
  const offered = env["PLUGIN_PROTOCOL_VERSIONS"];
  if (offered !== undefined && !offered.split(",").includes(String(nomadProtocol))) {
    throw new HandshakeError(
      `The agent offers plugin protocol versions "${offered}"; this driver supports version ${nomadProtocol}. Use compatible versions of agent and driver.`,
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
  return `${coreProtocol}|${nomadProtocol}|unix|${socketPath}|grpc\n`;
}
