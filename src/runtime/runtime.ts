/**
 * The composition root of the plugin process: the one place that knows every part and builds what exists once per process. All other
 * modules get what they need as an argument (services.ts in driver/), and none has a global state. plugin-process.ts runs it as a plugin
 * of an agent: signals, log, server, and the end.
 *
 * An agent starts the plugin several times and uses only one of the processes; the others just answer questions about versions and
 * options. So nothing here touches the host, connects or reads before a task is started or recovered.
 */

import { dirname } from "node:path";
import type { PluginOptions } from "../config/plugin/options";
import { HostProbe } from "../driver/host-probe";
import { Lifecycle } from "../driver/lifecycle";
import { LiveConfig } from "../driver/live-config";
import type { Services } from "../driver/services";
import { Launcher } from "../launch/launcher";
import { errorText } from "../lib/errors";
import type { Logger } from "../lib/logger";
import { removeStaleLocks } from "../machine/machine-lock";
import { isClaimedByOther, machinesOfClient } from "../machine/registry";
import { readTaskRecord } from "../machine/task-record";
import { ForwardPolicy } from "../network/firewall/forward-policy";
import { RuleReconciler } from "../network/firewall/rule-reconciler";
import { PrivateNetworks } from "../network/private/private-network";
import { ContainerRoots } from "../rootfs/container-roots";
import { HostRootfs } from "../rootfs/host-rootfs";
import { MachineImages } from "../rootfs/machine-images";
import { OciImages } from "../rootfs/oci-images";
import { OciRootfs } from "../rootfs/oci-rootfs";
import { Supervisors } from "../supervisor/supervisors";
import { DanglingReconciler } from "../task/dangling-reconciler";
import { TaskEvents } from "../task/events";
import { StatsTicker } from "../task/stats";
import { NamesByMachine, namingLogger } from "../task/task-names";
import { TaskRegistry } from "../task/task-registry";
import { MetricRegistry } from "../telemetry/registry";
import { countedLogger, createTelemetry, observeHost, pullObserver } from "./telemetry";

/** The services of one plugin process; disposing of them closes them all. */
interface Runtime extends Services, AsyncDisposable {}

/**
 * Builds everything that exists once per plugin process: the only place that knows all parts. Nothing on the host is touched before a task is
 * started or recovered, because the agent starts the plugin several times and uses one process only.
 */
export function createRuntime(plainLog: Logger): Runtime {
  const { log, metrics, names } = observedLogger(plainLog);
  const config = new LiveConfig();
  const options = () => config.options;
  // Relative image paths are relative to the plugin's executable: the agent's plugin_dir.
  const pluginDir = dirname(process.execPath);
  const tasks = new TaskRegistry();
  const lifecycle = new Lifecycle();
  const supervisors = new Supervisors(log, () => metrics.add("nomad_nspawn_shims_killed_total", {}));
  const { images, roots, machineImages, scheduleImageGc } = imageParts({ options, pluginDir, log, metrics });
  const launcher = new Launcher({
    log,
    options,
    pluginDir,
    namesVolumes: () => lifecycle.initialized,
    supervisors,
    hostRootfs: new HostRootfs({ options, pluginDir, roots, images: machineImages }),
    ociRootfs: new OciRootfs({ images, roots }),
    roots,
    networks: privateNetworks(log.named("network"), options, metrics),
    onDangling: () => dangling.schedule(),
  });
  const dangling = new DanglingReconciler({
    log: log.named("dangling"),
    tasks,
    options,
    launcher,
    machinesOf: machinesOfClient,
    isClaimedByOther,
    onStart: () => {
      scheduleImageGc();
      removeStaleLocks().catch((error: unknown) => {
        log.warn("cannot remove the locks of ended processes", { error: errorText(error) });
      });
    },
    onFound: (machine) => learnRecord(names, machine),
    onRemoved: () => metrics.add("nomad_nspawn_dangling_removed_total", {}),
  });
  const telemetry = createTelemetry({ log: log.named("telemetry"), startLog: log, metrics, config });
  observeHost(metrics, { tasks: () => tasks.counts(), store: () => images.store });
  const ended = new AbortController();
  return {
    log,
    config,
    host: new HostProbe(config, () => supervisors.preferredName),
    tasks,
    events: new TaskEvents(),
    statsTicker: new StatsTicker(),
    launcher,
    dangling,
    lifecycle,
    names,
    metrics,
    watchStart: telemetry.watchStart,
    forwardPolicy: new ForwardPolicy(),
    scheduleImageGc,
    get shutdown() {
      return AbortSignal.any([ended.signal, lifecycle.stopping]);
    },
    [Symbol.asyncDispose]: async () => {
      ended.abort();
      await telemetry[Symbol.asyncDispose]();
      await supervisors[Symbol.asyncDispose]();
    },
  };
}

/** A logger whose lines are counted, and have Nomad's names of tasks. */
function observedLogger(plain: Logger) {
  const metrics = new MetricRegistry();
  const names = new NamesByMachine();
  return { log: namingLogger(countedLogger(plain, metrics), names), metrics, names };
}

/** What images of both kinds come from, and the roots that are made of them. */
function imageParts(context: {
  readonly options: () => PluginOptions;
  readonly pluginDir: string;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
}) {
  const { options, pluginDir, metrics } = context;
  const log = context.log.named("images");
  const images = new OciImages({ options, log, pulls: pullObserver(metrics, "container") });
  const isUsed = (path: string) => images.store.usesHostImage(path);
  const pulls = pullObserver(metrics, "machine");
  const machineImages = new MachineImages({ options, pluginDir, isUsed, log, pulls });
  const scheduleImageGc = () => {
    images.scheduleGc();
    machineImages.scheduleGc();
  };
  return { images, roots: new ContainerRoots(images), machineImages, scheduleImageGc };
}

function privateNetworks(log: Logger, options: () => PluginOptions, metrics: MetricRegistry): PrivateNetworks {
  const ruleReconciler = new RuleReconciler(log, () => metrics.add("nomad_nspawn_rule_restorations_total", {}));
  return new PrivateNetworks({ log, pools: () => options().network, ruleReconciler });
}

/** The names of a task that another plugin process has started, from its record. */
async function learnRecord(names: NamesByMachine, machine: string): Promise<void> {
  const record = await readTaskRecord(machine).catch(() => undefined);
  if (record === undefined) return;
  const { task, allocation: alloc, job, namespace } = record;
  names.learn(machine, { task, alloc, job, namespace });
  names.end(machine);
}
