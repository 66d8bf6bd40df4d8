/** An image that cannot be used; the message is a sentence for the job's author. */
export class ImageError extends Error {
  override readonly name = "ImageError";
}
