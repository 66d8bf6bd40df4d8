# Containers on the client's own network, with addresses of that network: "bridge" is a bridge that the operator has made and that the client's
# network card is a port of, "macvlan" an interface of its own beside the card's. Other hosts reach the containers at these addresses; the
# client itself does not reach those on macvlan. Without an address, DHCP gives one. The operator has to allow them:
# plugin "nspawn" { config { network { bridges = ["br0"], interfaces = ["eth0"] } } }
#
#   nomad job run -var image=/var/lib/machines/busybox -var network=bridge:br0 -var address=192.0.2.20/24 lan.hcl
#   nomad job run -var image=/var/lib/machines/busybox -var network=macvlan:eth0 -var address=192.0.2.21/24 lan.hcl

variable "image" {
  type        = string
  description = "A directory or disk image with busybox's httpd."
}

variable "network" {
  type        = string
  description = "bridge:NAME or macvlan:NAME."
}

variable "address" {
  type        = string
  description = "Address and prefix length; of the network, and used by no other host."
}

job "lan" {
  type = "service"

  group "one" {
    task "httpd" {
      driver = "nspawn"

      config {
        image        = var.image
        boot         = false
        volatile     = "overlay"
        network      = var.network
        ipv4_address = var.address
        command      = ["httpd", "-f", "-p", "80", "-h", "/local/www"]
      }

      template {
        destination = "local/www/index.html"
        data        = "From an address of the network.\n"
      }

      resources {
        cpu    = 100
        memory = 32
      }
    }
  }
}
