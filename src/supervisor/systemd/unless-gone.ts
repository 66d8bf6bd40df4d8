import { DbusError } from "../../systemd/dbus";

const NO_SUCH_UNIT = "org.freedesktop.systemd1.NoSuchUnit";

/** Waits for a call about a unit, which does nothing if PID 1 does not know the unit any more. @throws DbusError for other errors */
export async function unlessGone(call: Promise<void>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof DbusError) || error.dbusName !== NO_SUCH_UNIT) throw error;
  }
}
