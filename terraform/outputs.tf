# SPDX-License-Identifier: AGPL-3.0-only

output "app_name" {
  description = "Name of the application."
  value       = juju_application.signet.name
}

output "endpoints" {
  description = "Endpoints of the charm: those that others ask, and those by which it asks others."
  value = {
    provides = {
      certificates     = "certificates"
      client           = "client"
      cos_agent        = "cos-agent"
      metrics_endpoint = "metrics-endpoint"
      send_ca_cert     = "send-ca-cert"
    }
    requires = {
      kube_control    = "kube-control"
      receive_ca_cert = "receive-ca-cert"
      upstream        = "upstream"
    }
  }
}
