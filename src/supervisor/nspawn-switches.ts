/** The arguments that are systemd-nspawn's own: those after "--" are the job's words, whatever they look like. */
export function nspawnSwitches(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf("--");
  return end < 0 ? argv : argv.slice(0, end);
}
