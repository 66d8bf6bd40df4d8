import { type Message, messageType } from "dbus-native";

/** Services that the bus has to start first take a while; PID 1 responds at once, except while it reloads or serialises itself. */
const CALL_TIMEOUT_MS = 60_000;

/** A method call; descriptors that the body refers to by index are in `fds`. */
interface MethodCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
  readonly fds?: readonly number[];
}

/** A call that was refused, or not answered in time. */
export class DbusError extends Error {
  override readonly name = "DbusError";

  /** @param dbusName such as "org.freedesktop.DBus.Error.AccessDenied"; "" if the error did not come from the other side */
  constructor(
    readonly dbusName: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The part of a connection that calls methods. */
export interface MethodCaller {
  invoke(
    message: Message,
    options: { readonly timeout: number },
    callback: (error: (Error & { readonly dbusName?: string }) | null, ...values: unknown[]) => void,
  ): void;
}

/**
 * Calls a method.
 *
 * @param answered gets the response before any message that arrived after it is dispatched; the returned promise is later
 * @returns the values of the response
 * @throws DbusError
 */
export function callMethod(
  bus: MethodCaller,
  { signature = "", body = [], fds = [], ...call }: MethodCall,
  answered: (...values: readonly unknown[]) => void = () => {},
): Promise<readonly unknown[]> {
  const message: Message = {
    type: messageType.methodCall,
    ...call,
    signature,
    body: [...body],
    ...(fds.length > 0 ? { fds: [...fds] } : {}),
  };
  return new Promise((resolve, reject) => {
    bus.invoke(message, { timeout: CALL_TIMEOUT_MS }, (error, ...values) => {
      if (error !== null) {
        reject(new DbusError(error.dbusName ?? "", error.message, { cause: error }));
        return;
      }
      answered(...values);
      resolve(values);
    });
  });
}
