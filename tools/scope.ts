/** Commands inside a test host or a virtual machine, each in a scope of its systemd. */

/**
 * The command with a short standard environment (PATH, HOME, LANG) and additional variables, in its own scope, in which it may
 * create cgroups. Not a service that systemd-run waits for, because that wait ends with the D-Bus daemon.
 */
export function inScope(argv: readonly string[], env: Readonly<Record<string, string>> = {}): string[] {
  const environment = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
    HOME: "/root",
    LANG: "C.UTF-8",
    ...env,
  };
  return [
    ...["env", "--ignore-environment"],
    ...Object.entries(environment).map(([key, value]) => `${key}=${value}`),
    ...["systemd-run", "--quiet", "--scope", "--collect", "--property=Delegate=yes", "--"],
    ...argv,
  ];
}
