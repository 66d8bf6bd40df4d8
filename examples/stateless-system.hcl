# A system without state: the image is read-only, and /var is new at each start and in memory. Any number of tasks boot from one image, and
# none can break it. With volatile = "yes" only /usr comes from the image, which distributions made for it support; Debian does not.
#
#   nomad job run -var image=/var/lib/machines/debian stateless-system.hcl

variable "image" {
  type        = string
  description = "A directory or disk image of a Debian with systemd."
}

job "stateless-system" {
  type = "service"

  group "system" {
    task "system" {
      driver       = "nspawn"
      kill_timeout = "20s"

      config {
        image        = var.image
        volatile     = "state"
        notify_ready = true # "running" means that the system is up
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
