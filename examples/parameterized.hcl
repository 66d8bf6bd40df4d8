# A job that runs once for each dispatch, with its own input: a file in the task directory, and values in the environment.
#
#   nomad job run -var image=/var/lib/machines/busybox parameterized.hcl
#   echo "some text" | nomad job dispatch -meta KIND=words parameterized -

variable "image" {
  type        = string
  description = "A directory or disk image with a shell and wc."
}

job "parameterized" {
  type = "batch"

  parameterized {
    payload       = "required"
    meta_required = ["KIND"]
  }

  group "count" {
    task "count" {
      driver = "nspawn"

      dispatch_payload {
        file = "input.txt" # in the task directory: /local in the container
      }

      config {
        image        = var.image
        boot         = false
        volatile     = "overlay"
        network_mode = "none"

        # Only KIND's known values become a switch of a program.
        command = ["/bin/sh", "-c", <<-EOT
          case "$NOMAD_META_KIND" in
            words) exec wc -w < /local/input.txt ;;
            lines) exec wc -l < /local/input.txt ;;
            *) echo "KIND is '$NOMAD_META_KIND'; allowed: words, lines." >&2; exit 64 ;;
          esac
        EOT
        ]
      }

      resources {
        cpu    = 100
        memory = 32
      }
    }
  }
}
