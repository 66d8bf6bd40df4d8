# An image that is downloaded before its task starts: an archive of a root directory, checked by the list of SHA-256 sums beside
# it. It is kept as /var/lib/machines/web-tools, where the next start finds it without the network.
#
#   nomad job run -var url=https://example.com/images/web-tools.tar.xz image-download.hcl

variable "url" {
  type        = string
  description = "An archive with busybox in it, and SHA256SUMS beside it."
}

job "image-download" {
  type = "batch"

  group "image-download" {
    # A download that failed for a reason that may pass is tried again.
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
