# Several tasks on one disk image of the client: the image is mounted once for all of them, and each has a layer of its own for what it
# writes, which is discarded when the task ends. Nothing is copied, whatever the size of the image.
#
#   mke2fs -t ext4 -d ROOT app.raw 64M
#   nomad job run -var image=/srv/images/app.raw disk-image.hcl

variable "image" {
  type        = string
  description = "A disk image: a file system, or partitions as systemd-repart and mkosi make them."
}

job "disk-image" {
  type = "batch"

  group "workers" {
    count = 3

    task "worker" {
      driver = "nspawn"

      config {
        image     = var.image
        ephemeral = true
        boot      = false
        network   = "none"
        command   = ["/bin/sh", "-c", "echo $NOMAD_ALLOC_INDEX >> /var/who; cat /var/who; sleep 3"]
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
