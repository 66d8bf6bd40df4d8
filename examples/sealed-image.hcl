# A sealed disk image: dm-verity verifies every block of it when it is read, by a root hash that is in the job. A changed byte on the
# client's disk is a read error, and never content. Made with systemd-repart (definitions in docs/images.md, "Disk images with dm-verity"), or:
#
#   mke2fs -t ext4 -b 4096 -d ROOT app.raw 24M
#   veritysetup format app.raw app.verity     # prints the root hash
#
# With "root_hash_signature" the hash itself is signed, and the kernel verifies it with the keys of its keyring: jobs can then name only
# images that the operator has sealed. The client needs dm-verity and libcryptsetup (doctor says so).
#
#   nomad job run -var image=/srv/images/app.raw -var hashes=/srv/images/app.verity -var root_hash=… sealed-image.hcl

variable "image" {
  type        = string
  description = "A disk image with a file system of 4096-byte blocks, and a shell in it."
}

variable "hashes" {
  type        = string
  description = "The file with the hashes that veritysetup has made."
}

variable "root_hash" {
  type        = string
  description = "64 hexadecimal digits."
}

job "sealed-image" {
  type = "batch"

  group "one" {
    task "program" {
      driver = "nspawn"

      config {
        image       = var.image
        root_hash   = var.root_hash
        verity_data = var.hashes
        boot        = false
        read_only   = true # nothing can be written to what is verified
        network     = "none"
        command     = ["/bin/sh", "-c", "head -c 37 /mark"]
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
