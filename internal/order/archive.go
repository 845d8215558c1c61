// SPDX-License-Identifier: AGPL-3.0-only

package order

import (
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
)

// ReadAuthority asks for a CA that another program made and left on this machine: a folder of easy-rsa, a backup of the
// EasyRSA charm, PEM or PKCS#12. Nothing is changed.
type ReadAuthority struct {
	Path           string
	KeyPath        string // of the key, where it is not in the same place
	PassphrasePath string // of a file with the key's passphrase
}

// Found is a CA that another program made.
type Found struct {
	Source    string // in words
	Authority cert.Authority
	Key       cert.Key
	Revoked   []cert.Revocation
	Issued    []string // PEM
}

// Remember asks for entries to be in the unit's record, as far as it does not know their serial numbers yet.
type Remember struct{ Entries []ledger.Entry }

// WriteArchive asks for an encrypted backup in the unit's folder.
type WriteArchive struct {
	Archive        Archive
	Recipients     []string // of age
	PassphrasePath string   // of a file with a passphrase, in place of recipients
}

// ReadArchive asks for what an encrypted backup holds. Nothing is changed.
type ReadArchive struct {
	Name           string // in the unit's folder; or an absolute path
	IdentityPath   string // of a file with age's identities
	PassphrasePath string
}

// Archive is what a backup holds of an authority, besides the unit's own record of what it issued.
type Archive struct {
	Made                          time.Time
	Application, Model, ModelUUID string
	Record                        map[string]string // of the peer application bag
	Keys                          map[int]cert.Key  `json:"-"` // of CAs, by generation
	Entries                       []ledger.Entry    `json:"-"`
}

// ListArchives asks which backups lie in the unit's folder.
type ListArchives struct{}

// DeleteArchive asks for a backup, or for all of them where the name is empty, to be removed from the unit's folder.
type DeleteArchive struct{ Name string }

// ID implements Order.
func (o ReadAuthority) ID() ID { return hash("read-authority", o) }

// ID implements Order.
func (o Remember) ID() ID { return hash("remember", o) }

// ID implements Order. What is kept is no part of it: one moment has one backup, whatever another unit writes meanwhile.
func (o WriteArchive) ID() ID {
	o.Archive.Record = nil
	return hash("write-archive", o)
}

// ID implements Order.
func (o ReadArchive) ID() ID { return hash("read-archive", o) }

// ID implements Order.
func (o ListArchives) ID() ID { return hash("list-archives", o) }

// ID implements Order.
func (o DeleteArchive) ID() ID { return hash("delete-archive", o) }

func (ReadAuthority) order() {}
func (Remember) order()      {}
func (WriteArchive) order()  {}
func (ReadArchive) order()   {}
func (ListArchives) order()  {}
func (DeleteArchive) order() {}
