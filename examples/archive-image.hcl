# One image of an archive that Nomad downloads: the archive may have several, and the name after the file chooses. "podman save -m",
# "docker save" and "skopeo copy … oci-archive:images.tar:TAG" write such archives; they may be compressed.
#
#   nomad job run -var url=https://example.com/images/team.oci.tar -var tag=web archive-image.hcl
#
# For an archive of docker: image = "docker-archive:local/images.tar:NAME:TAG". See docs/images.md, "Archives".

variable "url" {
  type        = string
  description = "An oci-archive."
}

variable "tag" {
  type        = string
  description = "The tag of an image in it."
}

job "archive-image" {
  type = "batch"

  group "one" {
    task "program" {
      driver = "nspawn"

      artifact {
        source      = var.url
        destination = "local/images.tar"
        mode        = "file"

        options {
          archive = "false" # Nomad would unpack it
        }
      }

      config {
        image        = "oci-archive:local/images.tar:${var.tag}"
        network_veth = false # use the host's network
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
