/** A job of one task, as HCL; values are written as JSON, which HCL parses as expressions. */
export interface JobFile {
  readonly id: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Lines of HCL within the task block: env, resources, kill_signal… */
  readonly task?: string;
  /** Lines of HCL within the group block: network, volumes… */
  readonly group?: string;
  readonly type?: "service" | "batch" | "system";
}

/** The job file's text. A failed task is not restarted, so that a test sees each exit once. */
export function jobFile({ id, config, task = "", group = "", type = "batch" }: JobFile): string {
  const options = Object.entries(config).map(
    ([name, value]) => `${name} = ${JSON.stringify(value).replaceAll("${", "$${")}`,
  );
  const attempts = type === "system" ? "" : "reschedule {\n attempts = 0\n unlimited = false\n }";
  return `
job "${id}" {
  type = "${type}"
  group "g" {
    ${attempts}
    restart {
      attempts = 0
      mode = "fail"
    }
    ${group}
    task "main" {
      driver = "nspawn"
      config {
        ${options.join("\n        ")}
      }
      ${task}
    }
  }
}`;
}

/** A config that runs a shell command as PID 1 of a throw-away busybox container on the host's network. */
export function shell(image: string, script: string, more: Readonly<Record<string, unknown>> = {}) {
  return { image, boot: false, network_veth: false, volatile: "overlay", command: ["/bin/sh", "-c", script], ...more };
}
