# Devices by their CDI names, as vendors' programs write them into /etc/cdi: NVIDIA's (nvidia-ctk cdi generate), Intel's, AMD's. With HashiCorp's
# plugin for NVIDIA, a device block in resources is enough, and the driver finds the same specification by the GPU's UUID.
#
#   nomad job run -var image=docker.io/library/debian:13 -var device=nvidia.com/gpu=all cdi-device.hcl
#
# The client's operator has to allow devices: see docs/configuration.md, "GPUs and other CDI devices".

variable "image" {
  type        = string
  description = "An image with a shell."
}

variable "device" {
  type        = string
  description = "VENDOR/CLASS=NAME"
}

job "cdi-device" {
  type = "batch"

  group "one" {
    task "program" {
      driver = "nspawn"

      config {
        image        = var.image
        boot         = false
        volatile     = "overlay"
        network_mode = "none"
        cdi_devices  = [var.device]
        command      = ["/bin/sh", "-c", "ls -l /dev; env"]
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
