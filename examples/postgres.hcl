# PostgreSQL, with its data on a host volume and its password from a Nomad variable.
#
# The driver maps the owners of a volume into the task's user namespace: the files on the client belong to the IDs that the users have in the
# image, whatever IDs the container has on the client. The directory itself belongs to root, because postgres's entry point starts as root and
# gives the data to its own user. For an image that starts as another user, give the directory to that user's number:
# "nomad-driver-nspawn run IMAGE -- id".
#
#   mkdir -p -m 0711 /srv/postgres     # the image makes a directory in it that only its user may enter
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
        shm_size = "256MB" # shared memory of parallel queries
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
