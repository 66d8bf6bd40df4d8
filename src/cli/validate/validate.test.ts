import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodePluginConfig } from "../../config/plugin/decode";
import { checkTask } from "./check-task";
import { tasksOf } from "./job-file";
import { isWrong, reportText } from "./validate";

const defaults = { pluginDir: "/nonexistent", plugin: undefined };

function reports(text: string, variables: Record<string, string> = {}, context = defaults) {
  return tasksOf(text, variables).map((task) => checkTask(task, context));
}

function job(driver: string, config: string): string {
  return `job "web" {
  group "front" {
    network {
      port "http" {}
    }
    task "server" {
      driver = "${driver}"
      config {
${config}
      }
    }
  }
}
`;
}

const remarks = (text: string) =>
  reports(text).flatMap(({ problems, changes }) =>
    [...problems, ...changes].map(({ line, message }) => [line, message] as const),
  );

describe("nspawn", () => {
  test("a job that is right", () => {
    const text = job("nspawn", 'image = "docker.io/library/redis:8"\nports = ["http"]\nargs = ["--save", ""]');
    expect(reports(text)).toMatchObject([{ kind: "nspawn", problems: [], changes: [], notes: [] }]);
    expect(reportText("a/web.hcl", reports(text))).toBe(
      'Job "web", group "front", task "server" (driver nspawn): ok.\n',
    );
  });

  test.each([
    ['image = "debian"\nconsole = "loud"', 10, 'Option console = "loud" is not valid'],
    ['image = "debian"\nimagge = "x"', 10, "Option imagge is unknown: did you mean image?"],
    ["hostname = 3", 7, "Option image is missing"],
    ['image = "debian"\nboot = true\nprocess_two = true', 10, "Options boot = true and process_two = true exclude"],
    ['image = "debian"\nports = ["htpp"]', 10, 'Option ports names the port "htpp"'],
    ['image = "debian"\nimage_download {\n  url = "ftp://x"\n}', 10, "Option image_download.url"],
  ])("%j", (config, line, sentence) => {
    expect(remarks(job("nspawn", config))).toEqual([[line, expect.stringContaining(sentence)]]);
  });

  test("what is not known before the job runs is noted, and the rest is checked", () => {
    const config = `image = var.image\nargs = ["-p", "\${NOMAD_PORT_http}"]\nhostname = lower("WEB")\nconsole = "loud"`;
    const [report] = reports(job("nspawn", config));
    expect(report?.problems).toMatchObject([{ line: 12, option: "console" }]);
    expect(report?.notes.map(({ option }) => option)).toEqual(["image", "args", "hostname"]);
  });

  test("the operator's config is checked if it is given", () => {
    const plugin = decodePluginConfig(new Uint8Array());
    const text = job("nspawn", 'image = "debian"\ncapability = ["NET_ADMIN"]');
    const strict = { ...defaults, plugin: { ...plugin, allow_caps: [] } };
    expect(tasksOf(text, {}).map((task) => checkTask(task, strict).problems)).toMatchObject([
      [{ line: 10, message: expect.stringContaining("this client does not allow") }],
    ]);
    expect(reports(text)[0]?.problems).toEqual([]);
  });
});

describe("other drivers", () => {
  test("a docker job whose options are the same here needs the driver's name only", () => {
    const text = job("docker", 'image = "redis:8"\nargs = ["x"]\ncap_add = ["net_raw"]\nvolumes = ["local:/data"]');
    const [report] = reports(text);
    expect(report && isWrong(report)).toBe(false);
    expect(remarks(text)).toEqual([[7, 'driver = "docker" becomes driver = "nspawn"']]);
  });

  test("each line to change is named, and to what", () => {
    const config = [
      'image = "redis:8"',
      "privileged = true",
      "runtime = 1",
      'security_opt = ["no-new-privileges"]',
      'pid_mode = "host"',
      'network_mode = "container:x"',
      'devices = [{ host_path = "/dev/fuse" }]',
      'storage_opt = { size = "2G" }',
      "memory_hard_limit = 512",
      'isolation = "hyperv"',
      "nonsense = 1",
    ].join("\n");
    expect(remarks(job("docker", config))).toMatchObject([
      [14, expect.stringContaining("containers share a network by network { mode")],
      [7, 'driver = "docker" becomes driver = "nspawn"'],
      [11, "runtime is left out: this driver has no daemon"],
      [12, "security_opt becomes no_new_privileges = true"],
      [13, expect.stringContaining("pid_mode is left out")],
      [15, 'devices becomes devices = ["/dev/fuse"]'],
      [16, 'storage_opt becomes storage_limit = "2G"'],
      [17, "memory_hard_limit becomes memory_max = 512 in the task's resources block"],
      [18, "isolation is left out: it is for Windows"],
      [19, "nonsense is left out: this driver has no such option"],
    ]);
  });

  test("a task of exec needs an image", () => {
    expect(remarks(job("exec", 'command = "/bin/sleep"\nargs = ["60"]'))).toMatchObject([
      [7, 'driver = "exec" becomes driver = "nspawn"'],
      [7, expect.stringContaining("image is added")],
      [7, expect.stringContaining("boot = false is added")],
      [7, expect.stringContaining('network = "host" is added')],
    ]);
  });

  test("a driver that is not known is not judged", () => {
    const found = reports(job("qemu", 'image_path = "x"'));
    expect(found).toMatchObject([{ kind: "other", problems: [], changes: [] }]);
    expect(found.some(isWrong)).toBe(false);
  });
});

describe("JSON", () => {
  const group = (config: object, driver = "nspawn") => ({
    Name: "front",
    Networks: [{ DynamicPorts: [{ Label: "http" }] }],
    Tasks: [{ Name: "server", Driver: driver, Config: config }],
  });

  test.each([
    [(job: object) => ({ Job: job }), "as nomad job run -output prints it"],
    [(job: object) => job, "as the API has it"],
  ])("%p", (whole) => {
    const config = { image: "debian", ports: ["http", "https"], environment: [{ A: `\${NOMAD_ALLOC_ID}` }] };
    const text = JSON.stringify(whole({ ID: "web", TaskGroups: [group(config)] }));
    const [report] = reports(text);
    expect(report).toMatchObject({
      task: { job: "web", group: "front", task: "server" },
      problems: [{ line: undefined, option: "ports", message: expect.stringContaining('"https"') }],
      notes: [{ option: "environment" }],
    });
  });

  test.each(["{}", '{"Job": {}}', "{"])("%p is refused", (text) => {
    expect(() => reports(text)).toThrow("it has no TaskGroups");
  });
});

test("a sidecar_task that names a driver is a task", () => {
  const sidecar = (driver: string) => `job "j" {
  group "g" {
    service {
      name = "api"
      connect {
        sidecar_service {}
        sidecar_task {
${driver}
          config {
            image = "docker.io/envoyproxy/envoy:v1"
            speed = 3
          }
        }
      }
    }
  }
}
`;
  const [found] = reports(sidecar('driver = "nspawn"'));
  expect(found?.task).toMatchObject({ job: "j", group: "g", task: "connect-proxy-api" });
  expect(found?.problems).toMatchObject([{ line: 11, option: "speed" }]);
  // Nomad's own default is the Docker driver, with a config of its own.
  expect(reports(sidecar(""))).toEqual([]);
});

test("every example job is right", () => {
  const directory = join(import.meta.dir, "../../../examples");
  for (const name of readdirSync(directory)) {
    // Not jobs: an agent's configuration, and what "nomad volume create" takes.
    if (!name.endsWith(".hcl") || name === "agent.hcl" || name.endsWith("-specification.hcl")) continue;
    const found = reports(readFileSync(join(directory, name), "utf8"));
    expect(found.length).toBeGreaterThan(0);
    for (const { problems } of found) expect({ name, problems }).toEqual({ name, problems: [] });
  }
});
