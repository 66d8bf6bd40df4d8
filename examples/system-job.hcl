# A booted container on every client, with the host's own user IDs: root in the container is root on the host. Only for clients
# that trust the image and the job.
#
#   nomad job run -var image=/var/lib/machines/debian system-job.hcl

variable "image" {
  type        = string
  description = "A directory or disk image with an init system."
}

job "everywhere" {
  type = "system"

  group "system" {
    task "debian" {
      driver       = "nspawn"
      kill_timeout = "30s"

      config {
        image            = var.image
        ephemeral        = true
        user_namespacing = false
        network_veth     = false
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
