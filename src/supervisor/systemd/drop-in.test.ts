import { describe, expect, test } from "bun:test";
import { commandLine, dropInText } from "./drop-in";

const { raw } = String;

describe("a command line", () => {
  test.each([
    ["a word", ["/bin/true"], raw`:"/bin/true"`],
    ["no word at all", ["/bin/true", ""], raw`:"/bin/true" ""`],
    ["blanks", ["/x", "a b", "\t"], raw`:"/x" "a b" "\x09"`],
    ["quotes and backslashes", ["/x", `"'\\`, "\\\\n"], raw`:"/x" "\"'\\" "\\\\n"`],
    ["variables, which are not expanded", ["/x", "$HOME", "$$"], `:"/x" "$HOME" "$$"`],
    ["specifiers", ["/x", "%n", "%%", "100%"], `:"/x" "%%n" "%%%%" "100%%"`],
    ["several lines", ["/x", "a\nExecStartPre=/bin/y\r"], raw`:"/x" "a\x0aExecStartPre=/bin/y\x0d"`],
    ["what separates commands", ["/x", ";", "\\;"], raw`:"/x" ";" "\\;"`],
    ["control characters", ["/x", "\u0001\u007f\u0085"], raw`:"/x" "\x01\x7f\xc2\x85"`],
    ["characters beyond ASCII", ["/x", "ü\u2028😀"], `:"/x" "ü\u2028😀"`],
    ["noncharacters", ["/x", "\ufffe\u{1ffff}"], raw`:"/x" "\xef\xbf\xbe\xf0\x9f\xbf\xbf"`],
  ])("with %s", (_name, command, text) => {
    expect(commandLine(command)).toBe(text);
  });
});

test("a drop-in has the command and the properties, without expansion of their values", () => {
  expect(dropInText({ command: ["/x"], properties: { IOWeight: "50", Description: "100%n" } })).toBe(
    '[Service]\nExecStart=:"/x"\nIOWeight=50\nDescription=100%%n\n',
  );
});
