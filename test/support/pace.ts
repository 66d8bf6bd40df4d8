/** What tests may expect of the machine they run on. */

/** The variable that a machine without KVM is told its pace by (vm.ts). */
export const paceVariable = "NSPAWN_TEST_PACE";

/** How many times longer than usual anything may take here; for times that only a hanging test reaches. */
export const pace: number = Number(process.env[paceVariable] ?? 1);
