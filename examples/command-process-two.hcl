# A single command, here a web server, under systemd-nspawn's small init, which reaps processes and forwards signals.
# Nomad picks the port; the container uses the host's network.
#
#   nomad job run -var image=/var/lib/machines/busybox command-process-two.hcl

variable "image" {
  type        = string
  description = "A directory or disk image with busybox's httpd."
}

job "web" {
  type = "service"

  group "web" {
    network {
      port "http" {}
    }

    task "httpd" {
      driver = "nspawn"

      config {
        image        = var.image
        ephemeral    = true
        boot         = false
        process_two  = true
        network_veth = false
        command      = ["httpd", "-f", "-v", "-p", "${NOMAD_PORT_http}", "-h", "${NOMAD_TASK_DIR}/www"]
      }

      template {
        destination = "local/www/index.html"
        data        = "Served from a systemd-nspawn container by {{ env \"NOMAD_TASK_NAME\" }}.\n"
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
