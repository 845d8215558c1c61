// SPDX-License-Identifier: AGPL-3.0-only

package order

import (
	"slices"
	"time"

	"github.com/signet-charm/signet/internal/cert"
)

// Place is where in a Vault server a CA is. Its zero value is nowhere.
type Place struct {
	Namespace string `json:"namespace,omitempty"` // of Vault Enterprise; empty for none
	Mount     string `json:"mount"`               // path of the PKI engine
	Issuer    string `json:"issuer,omitempty"`    // Vault's ID of one CA among several; empty where a mount has one (before 1.11)
}

// Vault is a place, and how whoever carries an order reaches it.
type Vault struct {
	Place

	Addresses   []string          // https URLs, tried in turn
	CA          string            // PEM, to verify the servers with; empty for the machine's trust store
	Roles       map[string]string // by cert.Kind, and "" for all others
	LoginMount  string            // path of the AppRole method
	RoleID      cert.Key          `json:"-"` // AppRole's; zero where there is a token
	SecretID    cert.Key          `json:"-"`
	Token       cert.Key          `json:"-"` // instead of an AppRole
	Unavailable string            `json:"-"` // why none of this can be used, and what to do; empty when it can
}

// named is what of it names an order: servers move, and credentials change, without its becoming another one.
func (v *Vault) named() *Vault {
	if v == nil {
		return nil
	}
	return &Vault{Place: v.Place}
}

// Consult asks which CA there is at a place, what that has revoked, and keeps the login alive.
type Consult struct{ Vault Vault }

// InstallAuthority asks for the certificate of a CA whose request was made at a place to be taken up there.
type InstallAuthority struct {
	Vault       Vault
	Generation  int
	Certificate string   // PEM
	Issuers     []string // PEM, in order
}

// Revoke asks for certificates to be on the revocation list that is made at a place. What is unknown there is passed over.
type Revoke struct {
	Vault   Vault
	Serials []string // hexadecimal
}

// Unwrap asks for what is behind a wrapping token of Vault's, which gives it once.
type Unwrap struct {
	Vault    Vault
	Wrapped  cert.Key
	SecretID bool // it is an AppRole's secret-id; else a token
}

// Consulted is what there is at a place.
type Consulted struct {
	Issuer string    // Place.Issuer of the CA that a place without one means
	CRL    string    // PEM; empty where there is none
	Until  time.Time // when the login ends unless it is kept alive; zero for never
}

// ID implements Order.
func (o Consult) ID() ID { return hash("consult", o.Vault.Place) }

// ID implements Order.
func (o InstallAuthority) ID() ID {
	return hash("install-authority", []any{o.Vault.Place, o.Generation, o.Certificate, o.Issuers})
}

// ID implements Order.
func (o Revoke) ID() ID {
	serials := slices.Clone(o.Serials)
	slices.Sort(serials)
	return hash("revoke", []any{o.Vault.Place, serials})
}

// ID implements Order. What is wrapped is known by its token.
func (o Unwrap) ID() ID { return hash("unwrap", []any{o.Vault.Place, keyHash(o.Wrapped), o.SecretID}) }

func (Consult) order()          {}
func (InstallAuthority) order() {}
func (Revoke) order()           {}
func (Unwrap) order()           {}
