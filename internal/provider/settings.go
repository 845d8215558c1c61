// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// Settings are the options of the charm that concern its authority.
type Settings struct {
	Embedded                 bool // false: this application is no authority
	CACommonName             string
	CAOrganizations          []string
	CALife                   time.Duration
	CAKeyType                cert.KeyType
	Life                     time.Duration // of the certificates signed
	KeyType                  cert.KeyType  // of the keys made for the legacy dialect
	Legacy                   bool
	StrictServerUsage        []string // when set: only these applications get clientAuth on legacy server certificates
	IntermediateApplications []string // who may ask for CA certificates
}

// ReadSettings takes the settings from option values; what cannot be used is recorded there.
func ReadSettings(config *juju.Config) Settings {
	settings := Settings{
		Embedded:                 config.Choice("authority", "embedded", "none") == "embedded",
		CACommonName:             config.Text("ca-common-name", ""),
		CALife:                   config.Span("ca-validity", 3650*24*time.Hour),
		CAKeyType:                cert.KeyType(config.Choice("ca-key-type", cert.KeyTypeNames()...)),
		Life:                     config.Span("certificate-validity", 90*24*time.Hour),
		KeyType:                  cert.KeyType(config.Choice("certificate-key-type", cert.KeyTypeNames()...)),
		Legacy:                   config.Flag("legacy-dialect", true),
		StrictServerUsage:        config.Words("strict-server-usage"),
		IntermediateApplications: config.Words("intermediate-applications"),
	}
	if organization := config.Text("ca-organization", ""); organization != "" {
		settings.CAOrganizations = []string{organization}
	}
	if len([]rune(settings.CACommonName)) > cert.MaxCommonName {
		config.Refuse("ca-common-name", "has more than %d characters (RFC 5280, ub-common-name)", cert.MaxCommonName)
	}
	if settings.Life < 5*time.Minute {
		config.Refuse("certificate-validity", "must be at least 5m")
	}
	if settings.CALife < 2*settings.Life { // either may be the slip
		for _, option := range []string{"ca-validity", "certificate-validity"} {
			config.Refuse(option, "ca-validity must be at least twice certificate-validity, or renewals outlive the CA")
		}
	}
	return settings
}
