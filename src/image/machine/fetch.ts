import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { errnoCode } from "../../lib/errors";
import { defined } from "../../lib/objects";
import { SourceError } from "../source";
import { basic, httpClient, readBytes } from "../transfer/client";
import { download } from "../transfer/download";
import { contentError, type Subject, TransferError } from "../transfer/errors";
import { type DownloadContext, type MachineImage, subjectOf } from "./request";
import { checkSignature, checksumPlaces, fileNameOf, findChecksum } from "./verify";

/** The list of checksums of a large mirror has some hundred kilobytes. */
const MAX_LIST_BYTES = 16 * 1024 * 1024;
const READ_BYTES = 256 * 1024;

/** The bytes stored at a URL; ends with an error if their digest is wrong. */
export function readContent(
  from: URL,
  subject: Subject,
  digest: string | undefined,
  { ca, signal, onProgress, timing }: Pick<DownloadContext, "ca" | "signal" | "onProgress" | "timing">,
): AsyncIterable<Uint8Array> {
  if (from.protocol === "file:") return readFile(from, digest, subject, { signal, onProgress });
  // fetch() does not turn a user and password in the URL into the header by itself.
  const url = new URL(from);
  const user = { username: decode(url.username), password: decode(url.password) };
  url.username = "";
  url.password = "";
  const authorization: Readonly<Record<string, string>> = from.username === "" ? {} : { authorization: basic(user) };
  const send = httpClient(ca);
  return download({
    ...subject,
    open: (headers, inner) =>
      send({ name: subject.name, url, headers: { ...headers, ...authorization }, signal: inner }),
    signal,
    ...defined({ timing, digest, onProgress }),
  });
}

/** A decoded user or password; one that was not encoded is used unchanged. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function* readFile(
  url: URL,
  digest: string | undefined,
  subject: Subject,
  { signal, onProgress }: Pick<DownloadContext, "signal" | "onProgress">,
): AsyncGenerator<Uint8Array> {
  const path = Bun.fileURLToPath(url);
  const hash = createHash("sha256");
  let received = 0;
  try {
    const stats = await stat(path);
    if (!stats.isFile()) throw contentError(subject, "it is not a regular file", false);
    const { size } = stats;
    for await (const chunk of createReadStream(path, { signal, highWaterMark: READ_BYTES })) {
      const bytes: Buffer = chunk;
      hash.update(bytes);
      received += bytes.length;
      onProgress?.(received, size);
      yield bytes;
    }
  } catch (error) {
    const code = errnoCode(error);
    if (code === undefined || signal.aborted) throw error;
    throw new TransferError(`Cannot read ${path}: ${code}.`, {
      problem: code === "ENOENT" ? "not found" : "content",
      recoverable: false,
      cause: error,
    });
  }
  const found = `sha256:${hash.digest("hex")}`;
  if (digest !== undefined && found !== digest) {
    throw contentError(subject, `its digest is ${found}, but should be ${digest}`);
  }
}

/**
 * The digest that an image must have according to the list beside it; with verify = "signature" only if the list is signed.
 *
 * @throws SourceError if none is found; SignatureError
 */
export async function trustedDigest(image: MachineImage, scratch: string, context: DownloadContext): Promise<string> {
  const subject = subjectOf(image);
  const file = fileNameOf(image.url);
  const looked: string[] = [];
  for (const { sums, signatures, own } of checksumPlaces(image.url)) {
    looked.push(fileNameOf(sums));
    const list = await fetchOptional(sums, `the checksums of ${subject.name}`, context);
    const digest = list === undefined ? undefined : findChecksum(list.toString("utf8"), file, own);
    if (list === undefined || digest === undefined) continue;
    if (image.verify === "signature") await checkSigned(list, signatures, image, scratch, context);
    return `sha256:${digest}`;
  }
  throw contentError(
    subject,
    `image_download.verify is ${JSON.stringify(image.verify)}, but no checksum of ${JSON.stringify(file)} was found beside it (looked for ${looked.join(" and ")})`,
    false,
  );
}

async function checkSigned(
  list: Uint8Array,
  signatures: readonly URL[],
  image: MachineImage,
  scratch: string,
  context: DownloadContext,
): Promise<void> {
  const subject = subjectOf(image);
  for (const url of signatures) {
    const signature = await fetchOptional(url, `the signature for ${subject.name}`, context);
    if (signature === undefined) continue;
    await checkSignature(list, signature, { scratch, keyring: context.keyring });
    return;
  }
  throw contentError(
    subject,
    `image_download.verify is "signature", but its checksums are not signed (looked for ${signatures.map(fileNameOf).join(" and ")})`,
    false,
  );
}

/** A small file; undefined if it does not exist. */
async function fetchOptional(url: URL, name: string, context: DownloadContext): Promise<Buffer | undefined> {
  try {
    const subject = subjectOf({ name, url });
    return await readBytes(
      readContent(url, { ...subject, name }, undefined, { ...context, onProgress: undefined }),
      MAX_LIST_BYTES,
      subject,
    );
  } catch (error) {
    if (error instanceof SourceError && error.problem === "not found") return undefined;
    throw error;
  }
}
