# nginx behind a port of the client, with a check, and a new version beside the old one: Nomad starts one canary, checks that it answers, and
# replaces the rest when it is promoted. If the check fails until healthy_deadline, the old version stays.
#
#   nomad job run nginx.hcl
#   nomad job run -var text="the new page" nginx.hcl
#   nomad deployment promote DEPLOYMENT

variable "image" {
  type    = string
  default = "docker.io/library/nginx:1.29"
}

variable "text" {
  type    = string
  default = "the old page"
}

job "nginx" {
  type = "service"

  update {
    canary            = 1
    max_parallel      = 1
    min_healthy_time  = "1s"
    healthy_deadline  = "1m"
    progress_deadline = "2m"
    auto_revert       = true
  }

  group "web" {
    network {
      port "http" {
        to = 80
      }
    }

    service {
      provider    = "nomad"
      name        = "nginx"
      port        = "http"
      tags        = ["live"]
      canary_tags = ["canary"]

      check {
        type     = "http"
        path     = "/"
        interval = "1s"
        timeout  = "1s"
      }
    }

    task "nginx" {
      driver       = "nspawn"
      kill_timeout = "20s" # the image's stop signal is SIGQUIT: connections that are open are served to their end

      config {
        image = var.image
        ports = ["http"] # the client's port is forwarded to port 80 of the task's private network
        args  = ["nginx", "-g", "daemon off;", "-c", "/local/nginx.conf"]
      }

      template {
        destination   = "local/nginx.conf"
        change_mode   = "signal" # nginx reads it again without closing a connection
        change_signal = "SIGHUP"

        data = <<-EOT
          error_log /dev/stderr;
          pid /run/nginx.pid;
          events {}
          http {
            access_log /dev/stdout;
            server {
              listen 80;
              root /local/www;
            }
          }
        EOT
      }

      template {
        destination = "local/www/index.html"
        change_mode = "noop"
        data        = var.text
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
