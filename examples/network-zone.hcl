# Two whole systems on a bridge of their own, which comes with the first container of the zone and goes with the last. Where
# systemd-networkd runs on the client it gives them addresses; elsewhere the driver does.
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
