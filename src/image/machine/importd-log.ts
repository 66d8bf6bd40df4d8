import type { SourceProblem } from "../source";
import { type Subject, TransferError } from "../transfer/errors";

/** A log line of systemd-importd about a transfer. */
export interface ImportdLine {
  /** As in syslog(3): 3 is an error, 5 a notice, 6 information; importd adds the facility in the higher bits. */
  readonly priority: number;
  readonly text: string;
}

/** The percentage in a line like "Got 35% of https://…" (systemd, pull-job.c); undefined in any other. */
export function progressOf(text: string): number | undefined {
  const percent = /^Got (\d{1,3})% of /.exec(text)?.[1];
  return percent === undefined ? undefined : Number(percent);
}

interface Meaning {
  readonly pattern: RegExp;
  readonly problem: SourceProblem;
  readonly recoverable: boolean;
}

/** Messages of importd, curl, gpg and tar; the first match decides. */
const MEANINGS: readonly Meaning[] = [
  // Since 260 libcurl is loaded when it is needed, and need not be installed (measured on Debian sid, systemd 262).
  { pattern: /^Failed to allocate .*: Operation not supported/, problem: "unsupported", recoverable: false },
  { pattern: /failed with code 40[13]|HTTP error.* 40[13]/, problem: "unauthorized", recoverable: false },
  { pattern: /failed with code (?:404|410)|HTTP error.* 404/, problem: "not found", recoverable: false },
  { pattern: /failed with code 429/, problem: "rate limited", recoverable: true },
  { pattern: /failed with code 5\d\d/, problem: "server", recoverable: true },
  { pattern: /could not resolve|couldn't resolve/i, problem: "name", recoverable: true },
  { pattern: /certificate|SSL|TLS/, problem: "certificate", recoverable: false },
  { pattern: /timed? ?out|timeout/i, problem: "timeout", recoverable: true },
  { pattern: /checksum|signature|digest|GPG|gpg/i, problem: "content", recoverable: false },
  { pattern: /no space left|disk quota/i, problem: "server", recoverable: true },
  { pattern: /already in progress/i, problem: "server", recoverable: true },
  { pattern: /connect|transfer failed|systemd-importd ended/i, problem: "connection", recoverable: true },
];

const LEVEL_MASK = 7;
const ERROR = 3;
const NOTICE = 5;
/** An error that only repeats that something reported before has failed. */
const GENERAL = /^(?:Failed to retrieve image file|Transfer process failed|Process failed)/;
/** The optional settings file beside an image, which usually does not exist. */
const OPTIONAL_SETTINGS = /\.nspawn failed with code /;

/** The error for a failed transfer, from importd's log lines. */
export function failureOf(subject: Subject, lines: readonly ImportdLine[]): TransferError {
  const upTo = (level: number) =>
    lines
      .filter(({ priority, text }) => (priority & LEVEL_MASK) <= level && !OPTIONAL_SETTINGS.test(text))
      .map(({ text }) => text);
  const telling = upTo(ERROR).filter((text) => !GENERAL.test(text));
  const reasons = (telling.length > 0 ? telling : upTo(NOTICE)).slice(-2).map(withoutSecrets);
  const meaning = MEANINGS.find(({ pattern }) => reasons.some((text) => pattern.test(text)));
  const said = reasons.length === 0 ? "it gave no reason (see journalctl -u systemd-importd)" : reasons.join(" ");
  return new TransferError(
    `systemd-importd could not download ${subject.name} from ${subject.host}: ${said.replace(/\.?$/, ".")}`,
    { problem: meaning?.problem ?? "content", recoverable: meaning?.recoverable ?? false },
  );
}

/** A URL's user, password and query may be secret. */
function withoutSecrets(text: string): string {
  return text
    .replace(/(\bhttps?:\/\/)[^\s/@]*@/g, "$1")
    .replace(/(\bhttps?:\/\/[^\s?#"']*)[?#][^\s"']*/g, "$1")
    .slice(0, 300);
}
