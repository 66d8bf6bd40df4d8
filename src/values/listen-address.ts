/** Where a server listens that only this machine can reach. */
export type ListenAddress =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/** What a value of a listen address must be, as the end of a sentence that begins "it must be". */
export const LISTEN_ADDRESS =
  '"unix:" and an absolute path, or a loopback address with a port such as "127.0.0.1:9273"';

/** Paths of Unix sockets have at most 107 bytes (unix(7)). */
const MAX_SOCKET_PATH = 107;

/** Parses "unix:/run/metrics.sock", "127.0.0.1:9273" or "[::1]:9273"; a text is the reason why it is not an address. Pure. */
export function parseListenAddress(text: string): ListenAddress | string {
  if (text.startsWith("unix:")) return unixAddress(text.slice("unix:".length));
  const [, host = "", digits = ""] = /^(\[[^\]]*\]|[^:]*):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === "" || port < 1 || port > 65535) return `it must be ${LISTEN_ADDRESS}`;
  if (host === "[::1]") return { kind: "tcp", host: "::1", port };
  if (isLoopback4(host)) return { kind: "tcp", host, port };
  return `only this machine may read it: it must be ${LISTEN_ADDRESS}`;
}

/** An address as it is written in the configuration. */
export function formatListenAddress(address: ListenAddress): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

function unixAddress(path: string): ListenAddress | string {
  const parts = path.split("/").slice(1);
  if (!path.startsWith("/") || path.includes("\0") || parts.some((part) => part === "" || part === "..")) {
    return 'the path of the socket must be absolute, and must not contain "//" or ".."';
  }
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    return `the path of the socket must not be longer than ${MAX_SOCKET_PATH} bytes`;
  }
  return { kind: "unix", path };
}

function isLoopback4(host: string): boolean {
  const parts = host.split(".");
  return (
    parts.length === 4 && parts[0] === "127" && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256)
  );
}
