import { isRecord, parseJson } from "../lib/objects";

/**
 * Entries of a container's journal, as `journalctl --output=json` prints them (systemd's docs/JOURNAL_EXPORT_FORMATS.md). The program and
 * the journal are the container's own: every value here is untrusted.
 */

/** An entry, as far as a task's log shows it. */
export interface JournalEntry {
  /** Where journalctl continues after it; undefined if it is not valid. */
  readonly cursor: string | undefined;
  /** The lines for the task's log, each with a newline; "" if the console shows the entry already. */
  readonly text: string;
}

/** The longest line of JSON that is read, in bytes: journald's own longest line is 48 KiB (LineMax= of journald.conf(5)). */
export const LONGEST_ENTRY = 512 * 1024;

const FIELDS = ["MESSAGE", "MESSAGE_ID", "UNIT", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER", "_COMM", "_PID"] as const;

/**
 * What PID 1 also prints as the status of a start or stop ("[  OK  ] Started …"): the message IDs of jobs that begin and end
 * (sd-messages.h: SD_MESSAGE_UNIT_STARTING, _STARTED, _FAILED, _STOPPING, _STOPPED, _RELOADING and _RELOADED).
 */
const STATUS_MESSAGES = new Set([
  "7d4958e842da4a758f6c1cdc7b36dcc5",
  "39f53479d3a045ac8e11786248231fbf",
  "be02cf6855d2428ba40df7e9d022f03d",
  "de5b426a63be47a7b6ac3eaac82e2f6f",
  "9d1aaa27d60140bd96365438aad20286",
  "d34d037fff1847e6ae669a370e694725",
  "7b05ebc668384222baa8881179cfda54",
]);

/**
 * The command that prints a journal and goes on with what is added to it, an entry a line.
 *
 * @param cursor of the last entry that was read; undefined: the entries of this boot, from its beginning. The entry itself is printed
 * again: with --after-cursor=, a journal that no longer has it would lose the one after it
 */
export function journalCommand(cursor: string | undefined): readonly string[] {
  return [
    "journalctl",
    "--quiet",
    "--no-pager",
    "--follow",
    "--no-tail",
    // Fields of more than 4096 bytes are null otherwise.
    "--all",
    "--output=json",
    `--output-fields=${FIELDS.join(",")}`,
    cursor === undefined ? "--boot" : `--cursor=${cursor}`,
  ];
}

/** Whether a text has the form of a journal's cursor (sd_journal_get_cursor(3)). */
export function isCursor(text: string): boolean {
  return text.length <= 512 && /^[a-z]=[0-9a-f]+(?:;[a-z]=[0-9a-f]+)*$/.test(text);
}

/** Whether a cursor is of a boot. @param bootId content of /proc/sys/kernel/random/boot_id; true if it is not known */
export function ofBoot(cursor: string, bootId: string): boolean {
  const id = bootId.trim().replaceAll("-", "");
  return !/^[0-9a-f]{32}$/.test(id) || cursor.split(";").includes(`b=${id}`);
}

/** Whether two cursors name the same entry: the same content at the same time of the same boot, possibly copied to another file. */
export function sameEntry(one: string, other: string): boolean {
  const parts = (cursor: string) =>
    cursor
      .split(";")
      .filter((part) => !/^[si]=/.test(part))
      .join(";");
  return parts(one) === parts(other);
}

/** Reads an entry; undefined if the line is not one. */
export function parseEntry(line: string): JournalEntry | undefined {
  const fields = parseJson(line);
  if (!isRecord(fields)) return undefined;
  const cursor = fieldText(fields["__CURSOR"]);
  return {
    cursor: cursor !== undefined && isCursor(cursor) ? cursor : undefined,
    text: onConsole(fields) ? "" : linesOf(sourceOf(fields), fieldText(fields["MESSAGE"]) ?? ""),
  };
}

/** A field's value: a string, an array of bytes if it is not UTF-8, or an array of values if the entry has it several times. */
function fieldText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const bytes = value.every((part) => typeof part === "number");
  return bytes ? Buffer.from(value).toString("utf8") : fieldText(value[0]);
}

function onConsole(fields: Readonly<Record<string, unknown>>): boolean {
  return fieldText(fields["_PID"]) === "1" && STATUS_MESSAGES.has(fieldText(fields["MESSAGE_ID"]) ?? "");
}

/** The unit that a message is from or, if it is one of PID 1, about; otherwise the program. */
function sourceOf(fields: Readonly<Record<string, unknown>>): string {
  const manager = fieldText(fields["_PID"]) === "1";
  const unit = fieldText(fields[manager ? "UNIT" : "_SYSTEMD_UNIT"]);
  const source = unit ?? fieldText(fields["SYSLOG_IDENTIFIER"]) ?? fieldText(fields["_COMM"]) ?? "journal";
  return source.replace(/\s+/g, " ").slice(0, 256);
}

/** Each line of a message with its source, which messages of PID 1 about a unit contain already. */
function linesOf(source: string, message: string): string {
  return message
    .replace(/\n+$/, "")
    .split("\n")
    .map((line) => (line.startsWith(`${source}: `) ? `${line}\n` : `${source}: ${line}\n`))
    .join("");
}
