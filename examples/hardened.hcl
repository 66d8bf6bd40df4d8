# As little as a service needs: no network but one port, no capability, an own user, a read-only root, limits for everything. It runs on
# a client whose operator allows jobs nothing more (docs/security.md, "A hardened client").
#
#   nomad job run -var image=/var/lib/machines/busybox hardened.hcl

variable "image" {
  type        = string
  description = "A directory or disk image with busybox's httpd."
}

job "hardened" {
  type = "service"

  group "web" {
    network {
      port "http" {
        to = 8080
      }
    }

    task "httpd" {
      driver = "nspawn"
      user   = "10001:10001" # a number that the image need not know

      config {
        image                      = var.image
        boot                       = false
        read_only                  = true
        volatile                   = "overlay"
        ports                      = ["http"]
        command                    = ["httpd", "-f", "-p", "8080", "-h", "/local/www"]
        cap_drop                   = ["all"]
        no_new_privileges          = true
        restrict_address_families  = ["AF_INET", "AF_INET6", "AF_UNIX"]
        system_call_filter         = ["~@mount", "~@debug", "~@privileged"]
        pids_limit                 = 32
        rlimits                    = { NOFILE = "256" }
      }

      template {
        destination = "local/www/index.html"
        data        = "A page that only needs to be read.\n"
      }

      resources {
        cpu    = 100
        memory = 32
      }
    }
  }
}
