# An image that Nomad itself downloads: the artifact block has the credentials, the checksum and the limits. The file is an archive of a
# container image, as "skopeo copy … oci-archive:web.tar" or "docker save" write it; it may be compressed.
#
#   nomad job run -var url=https://example.com/images/web.oci.tar.gz artifact-image.hcl
#
# See docs/images.md, "Images from artifact".

variable "url" {
  type        = string
  description = "An archive of a container image, with one image in it."
}

job "artifact-image" {
  type = "batch"

  group "one" {
    task "program" {
      driver = "nspawn"

      artifact {
        source      = var.url
        destination = "local/image"
        mode        = "file"

        options {
          archive = "false" # Nomad would unpack it
        }
      }

      config {
        image        = "local/image"
        network_veth = false # use the host's network

        # Without this, the image's own Entrypoint and Cmd run.
        command = ["/bin/sh", "-c", "echo \"Hello from an artifact, as user $(id -u)\""]
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
