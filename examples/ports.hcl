# A web server in a private network, the default of the driver. Nomad picks a port of the client, which is forwarded to the
# container's port 80; the first service is registered with the client's address and that port. The second service is
# registered with the container's own address, which only this client can reach.
#
#   nomad job run -var image=/var/lib/machines/busybox ports.hcl

variable "image" {
  type        = string
  description = "A directory or disk image with busybox's httpd."
}

job "ports" {
  type = "service"

  group "web" {
    network {
      port "http" {
        to = 80
      }
    }

    task "httpd" {
      driver = "nspawn"

      config {
        image     = var.image
        ephemeral = true
        boot      = false
        ports     = ["http"]
        command   = ["httpd", "-f", "-p", "[::]:80", "-h", "${NOMAD_TASK_DIR}/www"]
      }

      template {
        destination = "local/www/index.html"
        data        = "Behind port {{ env \"NOMAD_HOST_PORT_http\" }} of the client.\n"
      }

      service {
        provider = "nomad"
        name     = "web"
        port     = "http"
      }

      service {
        provider     = "nomad"
        name         = "web-container"
        port         = "http"
        address_mode = "driver"
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
