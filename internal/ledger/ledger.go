// SPDX-License-Identifier: AGPL-3.0-only

// Package ledger folds the record of what an authority did into what is now known: serials reserved, certificates
// issued, refused or revoked. Entries are appended durably (package disk keeps the file) and never
// changed. Where to look next: package ca, which writes an entry before each step that must not be forgotten.
package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// Event is what an entry records.
type Event string

// The events, in the order in which one certificate meets them.
const (
	Ordered  Event = "ordered"  // the core asked for a signature
	Reserved Event = "reserved" // a serial number was drawn, before anything was signed
	Issued   Event = "issued"   // a certificate exists
	Refused  Event = "refused"  // lint or the comparison after signing said no; the serial stays used
	Revoked  Event = "revoked"  // must no longer be trusted
)

// Entry is one line of the record. Fields that its event does not know are empty.
type Entry struct {
	Time        time.Time `json:"time"`
	Event       Event     `json:"event"`
	Order       string    `json:"order,omitempty"`       // order.ID
	Ask         string    `json:"ask,omitempty"`         // dialect.AskID
	For         string    `json:"for,omitempty"`         // who asked, in words
	Generation  int       `json:"generation,omitempty"`  // of the authority
	Serial      string    `json:"serial,omitempty"`      // hexadecimal, lower case
	Subject     string    `json:"subject,omitempty"`     // RFC 4514 text
	Names       []string  `json:"names,omitempty"`       // subject alternative names
	NotAfter    time.Time `json:"not-after,omitzero"`    // of the certificate
	Certificate string    `json:"certificate,omitempty"` // PEM
	Reason      string    `json:"reason,omitempty"`      // of a refusal or revocation
}

// Key tells issues apart of which one cannot be a repetition of the other: by who asked, and for which names.
func (e Entry) Key() string {
	sum := sha256.Sum256([]byte(e.For + "\n" + strings.Join(e.Names, "\n")))
	return hex.EncodeToString(sum[:12])
}
