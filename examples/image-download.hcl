# An image that is downloaded before its task starts: an archive of a root directory, verified with the SHA256SUMS file in the
# same directory. It is kept as /var/lib/machines/web-tools, so that the next start needs no download.
#
#   nomad job run -var url=https://example.com/images/web-tools.tar.xz image-download.hcl

variable "url" {
  type        = string
  description = "An archive that contains busybox, with SHA256SUMS in the same directory."
}

job "image-download" {
  type = "batch"

  group "image-download" {
    # Downloads are retried after transient failures.
    restart {
      attempts = 2
      delay    = "5s"
      mode     = "fail"
    }

    task "list" {
      driver = "nspawn"

      config {
        image        = "web-tools"
        ephemeral    = true
        boot         = false
        network_veth = false
        command      = ["/bin/sh", "-c", "echo from the downloaded image: && ls /usr/bin/wget"]

        image_download {
          url    = var.url
          type   = "tar"
          verify = "checksum"
        }
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
