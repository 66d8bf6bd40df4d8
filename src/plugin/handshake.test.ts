import { describe, expect, test } from "bun:test";
import { checkHandshake, HandshakeError, handshakeLine, isPluginEnvironment, MAGIC_COOKIE_VALUE } from "./handshake";

describe("isPluginEnvironment", () => {
  test("only the agent's cookie starts a plugin", () => {
    expect(isPluginEnvironment({ NOMAD_PLUGIN_MAGIC_COOKIE: MAGIC_COOKIE_VALUE })).toBe(true);
    expect(isPluginEnvironment({ NOMAD_PLUGIN_MAGIC_COOKIE: "x" })).toBe(false);
    expect(isPluginEnvironment({})).toBe(false);
  });
});

describe("checkHandshake", () => {
  test.each([[{}], [{ PLUGIN_PROTOCOL_VERSIONS: "2" }], [{ PLUGIN_PROTOCOL_VERSIONS: "1,2", PLUGIN_CLIENT_CERT: "" }]])(
    "accepts %p",
    (env) => {
      expect(() => checkHandshake(env)).not.toThrow();
    },
  );

  test.each([
    [{ PLUGIN_PROTOCOL_VERSIONS: "3" }, "supports version 2"],
    [{ PLUGIN_PROTOCOL_VERSIONS: "2", PLUGIN_CLIENT_CERT: "-----BEGIN CERTIFICATE-----" }, "mutual TLS"],
  ])("rejects %p", (env, text) => {
    expect(() => checkHandshake(env)).toThrow(HandshakeError);
    expect(() => checkHandshake(env)).toThrow(text);
  });
});

test("the handshake line is go-plugin's", () => {
  expect(handshakeLine("/tmp/x/plugin.sock")).toBe("1|2|unix|/tmp/x/plugin.sock|grpc\n");
});
