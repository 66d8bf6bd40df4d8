# A new version beside the old one: Nomad starts one canary, checks that it answers, and replaces the rest when it is promoted. If the check
# fails until healthy_deadline, the old version stays.
#
#   nomad job run -var image=/var/lib/machines/busybox canary.hcl
#   nomad job run -var image=/var/lib/machines/busybox -var text="the new page" canary.hcl
#   nomad deployment promote DEPLOYMENT

variable "image" {
  type        = string
  description = "A directory or disk image with busybox's httpd."
}

variable "text" {
  type    = string
  default = "the old page"
}

job "canary" {
  type = "service"

  update {
    canary           = 1
    max_parallel     = 1
    min_healthy_time = "1s"
    healthy_deadline = "30s"
    progress_deadline = "1m"
    auto_revert      = true
  }

  group "web" {
    network {
      port "http" {
        to = 80
      }
    }

    service {
      provider = "nomad"
      name     = "canary"
      port     = "http"
      tags     = ["live"]
      canary_tags = ["canary"]

      check {
        type     = "http"
        path     = "/"
        interval = "1s"
        timeout  = "1s"
      }
    }

    task "httpd" {
      driver = "nspawn"

      config {
        image    = var.image
        boot     = false
        volatile = "overlay"
        ports    = ["http"] # the client's port is forwarded to port 80 of the task's private network
        command  = ["httpd", "-f", "-p", "80", "-h", "/local/www"]
      }

      template {
        destination = "local/www/index.html"
        data        = var.text
      }

      resources {
        cpu    = 100
        memory = 32
      }
    }
  }
}
