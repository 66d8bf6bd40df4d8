# Once on every client, and done: preparing or checking clients. The task sees a file of the client, read-only.
#
#   nomad job run -var image=/var/lib/machines/busybox sysbatch.hcl

variable "image" {
  type        = string
  description = "A directory or disk image with a shell."
}

job "sysbatch" {
  type = "sysbatch"

  group "check" {
    task "check" {
      driver = "nspawn"

      config {
        image        = var.image
        boot         = false
        volatile     = "overlay"
        network_mode = "none"

        bind_read_only = {
          "/usr/lib/os-release" = "/client/os-release"
        }

        command = ["/bin/sh", "-c", "grep PRETTY_NAME /client/os-release"]
      }

      resources {
        cpu    = 100
        memory = 32
      }
    }
  }
}
