/** Commands inside a test host or a virtual machine, each in a scope of the systemd that is there. */

/**
 * The command with a short standard environment (PATH, HOME, LANG) and what is added to it, in a scope of its own, with
 * cgroups below it to make as it likes. Not a service that systemd-run waits for: that ends with the D-Bus daemon.
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
