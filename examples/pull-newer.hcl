# An image whose tag moves, such as one for each branch: at each start the registry is asked what the tag means now, and only layers that
# the client does not have are downloaded. While the registry cannot be reached, the image of the last start runs, and a task event says so.
#
#   nomad job run -var image=registry.example.com/team/app:main pull-newer.hcl
#
# pull = "always" fails then instead; without pull a tag is asked for only if the client does not have it. See docs/images.md, "How images
# are kept".

variable "image" {
  type        = string
  description = "REGISTRY/NAME:TAG."
}

job "pull-newer" {
  type = "batch"

  group "one" {
    task "program" {
      driver = "nspawn"

      config {
        image        = var.image
        pull         = "newer"
        network_veth = false # use the host's network
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
