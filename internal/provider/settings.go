// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"net/netip"
	"net/url"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/policy"
)

// Settings are the options of the charm that concern its authority.
type Settings struct {
	Authority           bool // false: this application is none
	Intermediate        bool // new CAs are certified by another one
	Hand                bool // new CAs are an operator's, who signs elsewhere
	CACommonName        string
	CAOrganizations     []string
	CALife              time.Duration
	CAKeyType           cert.KeyType
	Life                time.Duration // of the certificates signed
	KeyType             cert.KeyType  // of the keys made for the legacy dialect
	Legacy              bool
	StrictServerUsage   []string // when set: only these applications get clientAuth on legacy server certificates
	Policy              policy.Settings
	ReportOnly          bool // the policy says what it would refuse, and refuses nothing but CA certificates
	RequestsPerUnit     int
	RequestsPerRelation int
	TrustWait           time.Duration // how long the next CA is published before it signs
	RenewalsPerHour     int
	RenewalInterval     time.Duration // between two units of an application
	Window              window
	RotateKeys          bool // a renewal comes with a new key, where the key is made here
	RevokeOnDeparture   bool
	Listen              string // address and port; empty to serve nothing
	PublicURL           string
	BackupRecipients    []string
	Vault               vaultSettings
}

// ReadSettings takes the settings from option values; what cannot be used is recorded there.
func ReadSettings(config *juju.Config) Settings {
	authority := config.Choice("authority", "embedded", "intermediate", "vault", "vault-intermediate", "manual", "none")
	settings := Settings{
		Authority:           authority != "none",
		Intermediate:        authority == "intermediate" || authority == "vault-intermediate",
		Hand:                authority == "manual",
		CACommonName:        config.Text("ca-common-name", ""),
		CALife:              config.Span("ca-validity", 3650*24*time.Hour),
		CAKeyType:           cert.KeyType(config.Choice("ca-key-type", cert.KeyTypeNames()...)),
		Life:                config.Span("certificate-validity", 90*24*time.Hour),
		KeyType:             cert.KeyType(config.Choice("certificate-key-type", cert.KeyTypeNames()...)),
		Legacy:              config.Flag("legacy-dialect", true),
		StrictServerUsage:   config.Words("strict-server-usage"),
		Policy:              readPolicy(config),
		ReportOnly:          config.Flag("policy-report-only", false),
		RequestsPerUnit:     config.Count("requests-per-unit", 100, 1, 1000),
		RequestsPerRelation: config.Count("requests-per-relation", 20000, 1, 1000000),
		TrustWait:           config.Span("ca-trust-wait", 24*time.Hour),
		RenewalsPerHour:     config.Count("renewals-per-hour", 60, 1, 100000),
		RotateKeys:          config.Flag("rotate-key-on-renewal", false),
		RevokeOnDeparture:   config.Flag("revoke-on-departure", false),
		Listen:              config.Text("listen", ""),
		PublicURL:           config.Text("public-url", ""),
		BackupRecipients:    config.Words("backup-recipients"),
		Vault:               readVault(config, authority == "vault" || authority == "vault-intermediate"),
	}
	if config.Text("renewal-interval", "") != "0" { // which is no duration, but means something here
		settings.RenewalInterval = config.Span("renewal-interval", 10*time.Minute)
	}
	var err error
	if settings.Window, err = parseWindow(config.Text("maintenance-window", "")); err != nil {
		config.Refuse("maintenance-window", "%v", err)
	}
	checkServed(config, settings)
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

// readPolicy reads what an operator allows.
func readPolicy(config *juju.Config) policy.Settings {
	settings := policy.Settings{
		Mode:          policy.Mode(config.Choice("policy", policy.Modes()...)),
		Intermediates: config.Words("intermediate-applications"),
	}
	var err error
	if settings.Domains, err = policy.ParseDomains(config.Words("allowed-domains")); err != nil {
		config.Refuse("allowed-domains", "%v", err)
	}
	if settings.Networks, err = policy.ParseNetworks(config.Words("allowed-networks")); err != nil {
		config.Refuse("allowed-networks", "%v", err)
	}
	if settings.Exceptions, err = policy.ParseExceptions(config.Text("policy-rules", "")); err != nil {
		config.Refuse("policy-rules", "%v", err)
	}
	return settings
}

// checkServed refuses addresses at which nothing can be served.
func checkServed(config *juju.Config, settings Settings) {
	if settings.Listen != "" {
		at, err := netip.ParseAddrPort(settings.Listen)
		if err != nil || at.Port() == 0 {
			config.Refuse("listen", "%q is not an address and a port, such as 0.0.0.0:8880 or [::]:8880", settings.Listen)
		}
	}
	if settings.PublicURL == "" {
		return
	}
	parsed, err := url.Parse(settings.PublicURL)
	switch {
	case err != nil || parsed.Scheme != "http" || parsed.Host == "" || parsed.RawQuery != "" || parsed.Fragment != "":
		// What verifies a certificate cannot first verify a server's (RFC 5280, 8).
		config.Refuse("public-url", "%q is not a URL such as http://ca.example.com:8880", settings.PublicURL)
	case settings.Listen == "":
		config.Refuse("public-url", "needs the option listen, for nothing is served without it")
	}
}
