import { expect, test } from "bun:test";
import { type Message, messageType } from "dbus-native";
import { callMethod, DbusError, type MethodCaller } from "./dbus";

const call = { destination: "d", path: "/p", interface: "i", member: "Do" };

/** A connection on which calls get this response; keeps what was sent. */
function caller(...[error, ...values]: Parameters<Parameters<MethodCaller["invoke"]>[2]>) {
  const sent: (Message & { readonly timeout: number })[] = [];
  const invoke: MethodCaller["invoke"] = (message, options, callback) => {
    sent.push({ ...message, ...options });
    callback(error, ...values);
  };
  return { invoke, sent };
}

test.each([
  [{}, { signature: "", body: [] }],
  [
    { signature: "su", body: ["a", 1] },
    { signature: "su", body: ["a", 1] },
  ],
  [
    { signature: "h", body: [0], fds: [7] },
    { signature: "h", body: [0], fds: [7] },
  ],
])("%j is sent as a method call with a timeout", async (details, expected) => {
  const bus = caller(null);
  await callMethod(bus, { ...call, ...details });
  expect(bus.sent).toEqual([{ type: messageType.methodCall, ...call, ...expected, timeout: 60_000 }]);
});

test("the response is there before later messages, and returned", async () => {
  const answers: unknown[][] = [];
  const returned = callMethod(caller(null, 1, "b"), call, (...values) => answers.push([...values]));
  expect(answers).toEqual([[1, "b"]]);
  expect(await returned).toEqual([1, "b"]);
});

test.each([
  ["not allowed", "org.example.Denied"],
  ["timed out", ""],
])("%s is a DbusError named %j", async (message, dbusName) => {
  const refusal = Object.assign(new Error(message), dbusName === "" ? {} : { dbusName });
  const answered = () => {
    throw new Error("called");
  };
  const error = await callMethod(caller(refusal), call, answered).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(DbusError);
  expect(error).toMatchObject({ dbusName, message, cause: refusal });
});
