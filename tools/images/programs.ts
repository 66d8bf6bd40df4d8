/**
 * Container (OCI) images of programs that people run, made of Debian's packages with the conventions of the programs' Docker images:
 * entry point, user, volumes, stop signal, and what their Dockerfiles create in /run and /var.
 */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, chown, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../command";
import { cached, type Recipe } from "./cache";
import { type DebianTree, makeDebianTree } from "./debian";

/** A config of an image (OCI image spec, config.md). */
interface ProgramConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly User?: string;
  readonly WorkingDir?: string;
  readonly StopSignal?: string;
  readonly Volumes?: Readonly<Record<string, object>>;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
}

/** As in postgres's image: prepares the data as root, then runs as its user. */
const postgresEntry = `#!/bin/bash
set -e
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"
  chown -R postgres "$PGDATA"
  chmod 0700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi
PATH="$PATH:/usr/lib/postgresql/17/bin"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username=postgres --auth-host=scram-sha-256 --pwfile=<(echo "$POSTGRES_PASSWORD") > /dev/null
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
fi
exec "$@"
`;

/** As in mariadb's image. */
const mariadbEntry = `#!/bin/bash
set -e
if [ "$(id -u)" = 0 ]; then
  find /var/lib/mysql ! -user mysql -exec chown mysql {} +
  exec setpriv --reuid=mysql --regid=mysql --clear-groups "$0" "$@"
fi
[ -d /var/lib/mysql/mysql ] || mariadb-install-db --skip-test-db > /dev/null
exec "$@"
`;

/** As in redis's image. */
const redisEntry = `#!/bin/sh
set -e
if [ "$(id -u)" = 0 ]; then
  find . ! -user redis -exec chown redis {} +
  exec setpriv --reuid=redis --regid=redis --clear-groups "$0" "$@"
fi
exec "$@"
`;

const tree: DebianTree = {
  suite: "trixie",
  variant: "minbase",
  packages: [
    ...["postgresql-17", "mariadb-server", "mariadb-client", "redis-server", "redis-tools", "nginx-light"],
    ...["rabbitmq-server", "tomcat10", "util-linux", "busybox-static"],
  ],
  masked: [],
  // update-alternatives of the Java package.
  directories: ["usr/share/man/man1"],
  files: {
    "usr/local/bin/postgres-entrypoint.sh": postgresEntry,
    "usr/local/bin/mariadb-entrypoint.sh": mariadbEntry,
    "usr/local/bin/redis-entrypoint.sh": redisEntry,
    "var/lib/tomcat10/webapps/ROOT/type.jsp": 'type=<%= System.getenv("discovery.type") %>\n',
    "var/www/html/index.html": "nginx answers\n",
    "etc/machine-id": "",
    "etc/hostname": "",
    "etc/resolv.conf": "",
  },
  links: {
    "var/log/nginx/access.log": "/dev/stdout",
    "var/log/nginx/error.log": "/dev/stderr",
  },
};

/** Directories that the images' Dockerfiles make: path, owner, mode. */
const directories = [
  ["run/postgresql", "postgres", 0o3777],
  ["run/mysqld", "mysql", 0o1777],
  ["data", "redis", 0o755],
] as const;

const tomcat = "/usr/share/tomcat10";

/** The images, by tag. */
const programs: Readonly<Record<string, ProgramConfig>> = {
  postgres: {
    Entrypoint: ["postgres-entrypoint.sh"],
    Cmd: ["postgres", "-c", "listen_addresses=*"],
    Env: ["PGDATA=/var/lib/postgresql/data", "LANG=C.UTF-8"],
    Volumes: { "/var/lib/postgresql/data": {} },
    ExposedPorts: { "5432/tcp": {} },
    StopSignal: "SIGINT",
  },
  mariadb: {
    Entrypoint: ["mariadb-entrypoint.sh"],
    Cmd: ["mariadbd", "--bind-address=*"],
    Env: ["LANG=C.UTF-8"],
    Volumes: { "/var/lib/mysql": {} },
  },
  redis: {
    Entrypoint: ["redis-entrypoint.sh"],
    Cmd: ["redis-server", "--protected-mode", "no"],
    WorkingDir: "/data",
    Volumes: { "/data": {} },
  },
  nginx: { Cmd: ["nginx", "-g", "daemon off;"], StopSignal: "SIGQUIT", ExposedPorts: { "80/tcp": {} } },
  rabbitmq: {
    Cmd: ["/usr/lib/rabbitmq/bin/rabbitmq-server"],
    Env: ["RABBITMQ_LOGS=-", "HOME=/var/lib/rabbitmq", "PATH=/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    User: "rabbitmq",
    Volumes: { "/var/lib/rabbitmq": {} },
  },
  tomcat: {
    // dash drops variables with a dot, bash passes them on.
    Cmd: ["/bin/bash", `${tomcat}/bin/catalina.sh`, "run"],
    Env: [
      `CATALINA_HOME=${tomcat}`,
      "CATALINA_BASE=/var/lib/tomcat10",
      "CATALINA_TMPDIR=/tmp",
      "discovery.type=single-node",
    ],
    User: "tomcat",
    WorkingDir: "/var/lib/tomcat10",
  },
  static: {
    Entrypoint: ["/httpd"],
    Cmd: ["-f", "-p", "9100", "-h", "/"],
    User: "65534",
    ExposedPorts: { "9100/tcp": {} },
  },
};

const recipe: Recipe = {
  name: "programs",
  inputs: { tree, directories, programs, layout: 1 },
  build: buildPrograms,
};

/** An OCI layout with an image for each program, such as "postgres"; "static" has one program and no other file but a page. */
export async function programImages(say?: (line: string) => void): Promise<string> {
  return cached(recipe, say);
}

async function buildPrograms(directory: string): Promise<void> {
  const root = join(directory, "root");
  await makeDebianTree(tree, root);
  const passwd = await readFile(join(root, "etc/passwd"), "utf8");
  for (const [path, user, mode] of directories) {
    const [, , uid = "0", gid = "0"] =
      passwd
        .split("\n")
        .find((line) => line.startsWith(`${user}:`))
        ?.split(":") ?? [];
    await mkdir(join(root, path), { recursive: true });
    await chown(join(root, path), Number(uid), Number(gid));
    await chmod(join(root, path), mode);
  }
  for (const path of Object.keys(tree.files).filter((each) => each.startsWith("usr/local/bin/"))) {
    await chmod(join(root, path), 0o755);
  }
  const alone = join(directory, "alone");
  await mkdir(alone);
  await run(["cp", join(root, "usr/bin/busybox"), join(alone, "httpd")]);
  await writeFile(join(alone, "index.html"), "one static program answers\n");
  await mkdir(join(directory, "blobs/sha256"), { recursive: true });
  const [all, one] = [await layer(directory, root), await layer(directory, alone)];
  const manifests = [];
  for (const [tag, config] of Object.entries(programs)) {
    manifests.push(await image(directory, tag, tag === "static" ? one : all, config));
  }
  await writeFile(join(directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  await writeFile(join(directory, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));
  for (const path of [root, alone]) await rm(path, { recursive: true });
}

interface Blob {
  readonly digest: string;
  readonly size: number;
}

/** An uncompressed layer of a directory: its tests unpack it more often than it is built. */
async function layer(directory: string, root: string): Promise<Blob> {
  const file = join(directory, "layer.tar");
  await run([
    "tar",
    "--create",
    `--file=${file}`,
    "--format=posix",
    "--numeric-owner",
    "--xattrs",
    `--directory=${root}`,
    ".",
  ]);
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 })) hash.update(chunk);
  const name = hash.digest("hex");
  const { size } = await stat(file);
  await rename(file, join(directory, "blobs/sha256", name));
  return { digest: `sha256:${name}`, size };
}

async function image(directory: string, tag: string, content: Blob, config: ProgramConfig) {
  const rootfs = { type: "layers", diff_ids: [content.digest] };
  const configBlob = await json(directory, { architecture: "amd64", os: "linux", config, rootfs });
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = await json(directory, {
    schemaVersion: 2,
    mediaType,
    config: { mediaType: "application/vnd.oci.image.config.v1+json", ...configBlob },
    layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", ...content }],
  });
  return { mediaType, ...manifest, annotations: { "org.opencontainers.image.ref.name": tag } };
}

async function json(directory: string, value: unknown): Promise<Blob> {
  const bytes = Buffer.from(JSON.stringify(value));
  const name = createHash("sha256").update(bytes).digest("hex");
  await writeFile(join(directory, "blobs/sha256", name), bytes);
  return { digest: `sha256:${name}`, size: bytes.length };
}
