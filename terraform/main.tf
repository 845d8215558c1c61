# SPDX-License-Identifier: AGPL-3.0-only

resource "juju_application" "signet" {
  name        = var.app_name
  model_uuid  = var.model_uuid
  trust       = false
  config      = var.config
  constraints = var.constraints
  units       = var.units

  charm {
    name     = "signet"
    base     = var.base
    channel  = var.channel
    revision = var.revision
  }
}
