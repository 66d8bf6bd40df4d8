/** A config block that cannot be used; the message is one sentence for the user, free of secrets. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}
