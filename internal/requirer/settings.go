// SPDX-License-Identifier: AGPL-3.0-only

package requirer

import (
	"path"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// Settings are the options of the charm that concern the certificates it asks for.
type Settings struct {
	CommonName    string // empty: the unit's first ingress address
	Names         cert.Names
	Organizations []string // of the client certificate's subject
	Dir           string   // where the certificates folder appears; empty for the unit's own folder
	KeyType       cert.KeyType
}

// ReadSettings takes the settings from option values; what cannot be used is recorded there.
func ReadSettings(config *juju.Config) Settings {
	settings := Settings{
		CommonName: config.Text("common-name", ""),
		Dir:        config.Text("certificate-directory", ""),
		KeyType:    cert.KeyType(config.Choice("certificate-key-type", cert.KeyTypeNames()...)),
	}
	if len([]rune(settings.CommonName)) > cert.MaxCommonName {
		config.Refuse("common-name", "has more than %d characters (RFC 5280, ub-common-name)", cert.MaxCommonName)
	}
	names, err := cert.ParseNames(config.Words("extra_sans"))
	if err != nil {
		config.Refuse("extra_sans", "%v", err)
	}
	settings.Names = names
	if settings.Dir != "" && (!path.IsAbs(settings.Dir) || path.Clean(settings.Dir) != settings.Dir) {
		config.Refuse("certificate-directory", "%q is not a clean absolute path", settings.Dir)
	}
	if organization := config.Text("certificate-organization", ""); organization != "" {
		settings.Organizations = []string{organization}
	}
	return settings
}
