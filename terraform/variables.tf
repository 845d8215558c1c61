# SPDX-License-Identifier: AGPL-3.0-only

variable "app_name" {
  description = "Name of the application in the model."
  type        = string
  default     = "signet"
}

variable "base" {
  description = "Operating system of the units' machines."
  type        = string
  default     = "ubuntu@24.04"
}

variable "channel" {
  description = "Channel of the charm."
  type        = string
  default     = "latest/stable"
}

variable "config" {
  description = "Options of the charm, all as text. docs/reference/config.md lists them."
  type        = map(string)
  default     = {}
}

variable "constraints" {
  description = "Constraints on the units' machines."
  type        = string
  default     = "arch=amd64"
}

variable "model_uuid" {
  description = "UUID of the model."
  type        = string
}

variable "revision" {
  description = "Revision of the charm; null for the newest of the channel."
  type        = number
  default     = null
}

variable "units" {
  description = "How many units. One is enough; with more, another goes on when the leader is lost."
  type        = number
  default     = 1

  validation {
    condition     = var.units >= 1
    error_message = "The number of units must be 1 or more."
  }
}
