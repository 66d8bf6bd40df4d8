# All tasks of the group share a network that Nomad creates (mode "bridge", or "cni/NAME"): they reach each other at 127.0.0.1,
# as a Consul Connect sidecar reaches its service, and the group's ports are forwarded to the task that listens on them. The
# containers keep their own user namespaces. The client needs the CNI plugins (see docs/networking.md).
#
#   nomad job run -var image=/var/lib/machines/busybox bridge-mode.hcl

variable "image" {
  type        = string
  description = "A directory or disk image with busybox's httpd and wget."
}

job "bridge-mode" {
  type = "service"

  group "web" {
    network {
      mode = "bridge"

      port "http" {
        to = 80
      }
    }

    service {
      provider = "nomad"
      name     = "bridge-mode"
      port     = "http"
    }

    task "httpd" {
      driver = "nspawn"

      config {
        image       = var.image
        ephemeral   = true
        boot        = false
        process_two = true
        command     = ["httpd", "-f", "-p", "80", "-h", "${NOMAD_TASK_DIR}/www"]
      }

      template {
        destination = "local/www/index.html"
        data        = "Shared by all tasks of the group.\n"
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }

    task "sidecar" {
      driver = "nspawn"

      config {
        image     = var.image
        ephemeral = true
        boot      = false
        command   = ["/bin/sh", "-c", "until wget -q -O - http://127.0.0.1/; do sleep 1; done; exec sleep 1000000"]
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
