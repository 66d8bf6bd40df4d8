# A full system container: the image's init is PID 1. Stopping the task shuts the container down cleanly.
#
#   nomad job run -var image=/var/lib/machines/debian boot.hcl

variable "image" {
  type        = string
  description = "A directory or disk image with an init system, such as one made by mmdebstrap or mkosi."
}

job "boot" {
  type = "service"

  group "system" {
    task "debian" {
      driver = "nspawn"

      # Time for the shutdown, before all remaining processes are killed.
      kill_timeout = "30s"

      config {
        image        = var.image
        ephemeral    = true
        network_veth = false

        # The task is running when all units of the system have been started.
        notify_ready  = true
        ready_timeout = "2m"
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
