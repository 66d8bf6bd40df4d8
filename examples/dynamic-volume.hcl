# Data on a dynamic host volume (Nomad 1.10): "nomad volume create" makes it on a client, without a change of the client's configuration, and
# jobs that name it are placed there. For the driver it is a host volume like any other: its files on the client belong to the IDs that the
# users have in the image, and "volumes" in the plugin's configuration has to allow it.
#
#   nomad volume create dynamic-volume-specification.hcl
#   nomad job run -var image=/var/lib/machines/busybox dynamic-volume.hcl

variable "image" {
  type        = string
  description = "A directory or disk image with a shell."
}

job "dynamic-volume" {
  type = "batch"

  group "one" {
    # With an agent before 1.10 the same job uses a volume of the client's configuration:
    # client { host_volume "notes" { path = "/srv/notes" } }
    volume "data" {
      type   = "host"
      source = "notes"
    }

    task "writer" {
      driver = "nspawn"
      user   = "app"

      config {
        image    = var.image
        boot     = false
        volatile = "overlay"
        network  = "none"
        command  = ["/bin/sh", "-c", "echo run >> /data/runs; wc -l < /data/runs"]
      }

      volume_mount {
        volume      = "data"
        destination = "/data"
      }

      resources {
        cpu    = 100
        memory = 32
      }
    }
  }
}
