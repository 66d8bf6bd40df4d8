/**
 * Forwards chunks to a stream, one after the other, so that a slow reader slows the writer down.
 * A reader that went away is reported once; from then on chunks are dropped, because the task must not block on it.
 */
export function passOn(stream: NodeJS.WritableStream, readerGone: () => void): (chunk: Uint8Array) => Promise<void> {
  let gone = false;
  const dropFurther = (): void => {
    if (gone) return;
    gone = true;
    readerGone();
  };
  stream.on("error", dropFurther);
  return (chunk) =>
    new Promise((resolve) => {
      if (gone) return resolve();
      stream.write(chunk, (error) => {
        if (error) dropFurther();
        resolve();
      });
    });
}
