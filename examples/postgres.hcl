# PostgreSQL, with its data on a host volume. The volume belongs to the container's own users, whatever their IDs are on the client: the
# driver maps the owners of a volume into the task's user namespace. So the directory on the client belongs to the ID that the image's
# user has inside (70 or 999, see "nomad-driver-nspawn run IMAGE -- id postgres"), or to root if the image's entry point changes the owner itself, as that of postgres does.
#
#   mkdir -p -m 0700 /srv/postgres
#   # in the agent's configuration: client { host_volume "postgres" { path = "/srv/postgres" } }
#   nomad var put nomad/jobs/postgres password=…
#   nomad job run postgres.hcl

variable "image" {
  type    = string
  default = "docker.io/library/postgres:17"
}

job "postgres" {
  type = "service"

  group "db" {
    volume "data" {
      type   = "host"
      source = "postgres"
    }

    network {
      port "db" {
        to = 5432
      }
    }

    service {
      provider = "nomad"
      name     = "postgres"
      port     = "db"

      check {
        type     = "tcp"
        interval = "2s"
        timeout  = "1s"
      }
    }

    task "postgres" {
      driver       = "nspawn"
      kill_timeout = "60s" # the image's stop signal is SIGINT: connections are closed, and the data is written

      config {
        image    = var.image
        ports    = ["db"]
        shm_size = "256m" # shared memory of parallel queries
      }

      volume_mount {
        volume      = "data"
        destination = "/var/lib/postgresql/data"
      }

      template {
        destination = "secrets/environment"
        env         = true
        data        = "POSTGRES_PASSWORD={{ with nomadVar \"nomad/jobs/postgres\" }}{{ .password }}{{ end }}"
      }

      env {
        # A directory of its own below the mount point, as postgres's documentation advises for volumes.
        PGDATA = "/var/lib/postgresql/data/pgdata"
      }

      resources {
        cpu    = 500
        memory = 1024
      }
    }
  }
}
