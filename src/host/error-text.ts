/** The text of anything thrown, for a log field or an error sentence. */
export function errorText(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
