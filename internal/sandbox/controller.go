// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import "time"

// Options configures a sandbox; the zero value is ready to use.
type Options struct {
	ModelName   string           // "sandbox" when empty
	JujuVersion string           // "3.6.25" when empty
	NoSecrets   bool             // a model from before Juju 3.0: no SecretsManager facade
	Clock       func() time.Time // time.Now when nil
	Dir         string           // where agent.conf files go; a new temporary folder when empty
}
