/** The arguments of systemd-nspawn itself: those after "--" are the job's command, even if they look like switches. */
export function nspawnSwitches(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf("--");
  return end < 0 ? argv : argv.slice(0, end);
}
