# Consul's service mesh with sidecar proxies that this driver runs: without sidecar_task, Nomad starts them with the Docker driver. The
# service listens on the loopback interface of the group's network only; its sidecar accepts the mesh's connections, with their certificates.
# Needs a Consul agent and the CNI plugins on the client, and Envoy's image.
#
#   nomad job run -var image=/var/lib/machines/busybox sidecar-task.hcl

variable "image" {
  type        = string
  description = "A directory or disk image with busybox's httpd and wget."
}

variable "envoy" {
  type        = string
  default     = "docker.io/envoyproxy/envoy:v1.34-latest"
  description = "An image with Envoy, in a version that the Consul agent supports."
}

job "sidecar-task" {
  type = "service"

  group "api" {
    network {
      mode = "bridge"
    }

    service {
      name = "count-api"
      port = "9001"

      connect {
        sidecar_service {}

        sidecar_task {
          driver = "nspawn"

          # As Nomad starts Envoy with Docker; the file in the secrets directory is made by Nomad.
          config {
            image = var.envoy
            args = [
              "-c", "${NOMAD_SECRETS_DIR}/envoy_bootstrap.json",
              "-l", "info",
              "--concurrency", "1",
              "--disable-hot-restart",
            ]
          }

          resources {
            cpu    = 100
            memory = 128
          }
        }
      }
    }

    task "httpd" {
      driver = "nspawn"

      config {
        image    = var.image
        boot     = false
        volatile = "overlay"
        command  = ["httpd", "-f", "-p", "127.0.0.1:9001", "-h", "/local/www"]
      }

      template {
        destination = "local/www/index.html"
        data        = "Reached through the mesh.\n"
      }

      resources {
        cpu    = 100
        memory = 32
      }
    }
  }

  group "client" {
    network {
      mode = "bridge"
    }

    service {
      name = "count-client"

      connect {
        sidecar_service {
          proxy {
            upstreams {
              destination_name = "count-api"
              local_bind_port  = 8080
            }
          }
        }

        sidecar_task {
          driver = "nspawn"

          config {
            image = var.envoy
            args = [
              "-c", "${NOMAD_SECRETS_DIR}/envoy_bootstrap.json",
              "-l", "info",
              "--concurrency", "1",
              "--disable-hot-restart",
            ]
          }
        }
      }
    }

    task "reader" {
      driver = "nspawn"

      config {
        image    = var.image
        boot     = false
        volatile = "overlay"
        command  = ["/bin/sh", "-c", "while :; do wget -q -O - http://$NOMAD_UPSTREAM_ADDR_count_api; sleep 5; done"]
      }

      resources {
        cpu    = 100
        memory = 32
      }
    }
  }
}
