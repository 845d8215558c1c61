// SPDX-License-Identifier: AGPL-3.0-only

package order

import (
	"time"

	"github.com/signet-charm/signet/internal/cert"
)

// CreateAuthority asks for a new root CA: a key and a self-signed certificate.
type CreateAuthority struct {
	Generation    int
	CommonName    string
	Organizations []string
	KeyType       cert.KeyType
	NotBefore     time.Time // not part of the ID
	Life          time.Duration
	Vault         *Vault `json:",omitempty"` // where it is made; nil for here
}

// RequestAuthority asks for the key of a new CA that another CA shall certify, and for the request to show to it.
type RequestAuthority struct {
	Generation int
	Subject    cert.Subject
	KeyType    cert.KeyType
	Vault      *Vault `json:",omitempty"` // where the key is made and stays; nil for here
}

// FetchKey asks for the key of a CA that lies on this unit's disk.
type FetchKey struct{ Authority cert.Authority }

// KeepKey asks for the key of a CA that was made elsewhere to lie on this unit's disk, where there is no other place for
// it.
type KeepKey struct{ Signer Signer }

// CrossSign asks for a certificate by which one CA vouches for another one of the same application.
type CrossSign struct {
	Signer      Signer
	Generation  int       // of the other
	Certificate string    // the other's own, PEM
	NotBefore   time.Time // not part of the ID
}

// SignCRL asks for a certificate revocation list (RFC 5280, 5).
type SignCRL struct {
	Signer  Signer
	Number  int64 // greater than that of each list before (RFC 5280, 5.2.3)
	Revoked []cert.Revocation
	Update  time.Time     // thisUpdate; not part of the ID
	Life    time.Duration // until nextUpdate
}

// SignRecord asks for a checkpoint: a CA's word for all that this unit has recorded by now. It is recorded, too.
type SignRecord struct {
	Signer Signer
	Unit   string
	Model  string    // UUID
	Since  time.Time // of the first entry that no checkpoint covers, by which one order differs from the next
	Time   time.Time // of the checkpoint; not part of the ID
}

// ID implements Order.
func (o CreateAuthority) ID() ID {
	o.NotBefore, o.Vault = time.Time{}, o.Vault.named()
	return hash("create-authority", o)
}

// ID implements Order.
func (o RequestAuthority) ID() ID {
	o.Vault = o.Vault.named()
	return hash("request-authority", o)
}

// ID implements Order.
func (o FetchKey) ID() ID { return hash("fetch-key", o) }

// ID implements Order. The key is not part of it: it is the only one that fits.
func (o KeepKey) ID() ID { return hash("keep-key", []any{o.Signer.Generation, o.Signer.Certificate}) }

// ID implements Order. The key is not part of it, nor is the time.
func (o CrossSign) ID() ID {
	return hash("cross-sign", []any{o.Signer.Generation, o.Signer.Certificate, o.Generation, o.Certificate})
}

// ID implements Order. The key is not part of it, nor is the time.
func (o SignCRL) ID() ID {
	return hash("sign-crl", []any{o.Signer.Generation, o.Signer.Certificate, o.Number, o.Revoked, o.Life})
}

// ID implements Order. The key is not part of it, nor is the time.
func (o SignRecord) ID() ID {
	return hash("sign-record", []any{o.Signer.Generation, o.Signer.Certificate, o.Unit, o.Model, o.Since})
}

func (CreateAuthority) order()  {}
func (RequestAuthority) order() {}
func (FetchKey) order()         {}
func (KeepKey) order()          {}
func (CrossSign) order()        {}
func (SignCRL) order()          {}
func (SignRecord) order()       {}
