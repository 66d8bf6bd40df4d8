# Two booted containers on a private bridge, which is created with the first container of the zone and removed with the last.
# systemd-networkd assigns their addresses if it runs on the client; otherwise the driver does.
#
#   nomad job run -var image=/var/lib/machines/debian network-zone.hcl

variable "image" {
  type        = string
  description = "A directory or disk image with an init system."
}

job "network-zone" {
  type = "service"

  group "systems" {
    task "one" {
      driver = "nspawn"

      config {
        image        = var.image
        ephemeral    = true
        network_zone = "example"
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }

    task "two" {
      driver = "nspawn"

      config {
        image        = var.image
        ephemeral    = true
        network_zone = "example"
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
