# A whole system: the image's init is PID 1 of the container. Stopping the task shuts it down in order.
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

      # Time for the shutdown, before whatever is left is killed.
      kill_timeout = "30s"

      config {
        image        = var.image
        ephemeral    = true
        network_veth = false
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
