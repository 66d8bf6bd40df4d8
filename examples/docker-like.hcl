# A job of Nomad's Docker driver, with the driver's name changed: the image keeps its Entrypoint and gets arguments, and most options have
# the same names. docs/options.md has them all.
#
#   nomad job run -var image=docker.io/prom/prometheus:v3.5.0 docker-like.hcl

variable "image" {
  type        = string
  description = "A container image with an Entrypoint."
}

job "docker-like" {
  type = "batch"

  group "one" {
    task "program" {
      driver = "nspawn"

      config {
        image           = var.image
        args            = ["--config=/etc/app/app.conf"]
        network_mode    = "none" # loopback only; leave it out for a private network with ports
        readonly_rootfs = true
        cap_drop        = ["ALL"]
        cap_add         = ["net_bind_service"]
        group_add       = ["44"]
        shm_size        = "128MB"
        volumes         = ["local:/etc/app:ro"]

        ulimit {
          nofile = "1024:4096"
        }

        mount {
          type   = "tmpfs"
          target = "/scratch"
          tmpfs_options {
            size = 67108864 # bytes
          }
        }
      }

      template {
        data        = "answer = 42\n"
        destination = "local/app.conf"
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
