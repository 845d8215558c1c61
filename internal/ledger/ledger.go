// SPDX-License-Identifier: AGPL-3.0-only

// Package ledger folds the record of what an authority did into what is now known: serials reserved, certificates
// issued, refused or revoked, and what was decided of whose asks. Entries are appended durably (package disk keeps the
// file) and never changed. Where to look next: decision.go for what is recorded once, refusal.go for what is not tried again, package ca, which writes an entry
// before each step that must not be forgotten, and package audit, which tells entries to others.
package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// Event is what an entry records.
type Event string

// The events of one certificate, in the order in which it meets them.
const (
	Ordered   Event = "ordered"   // the core asked for a signature
	Reserved  Event = "reserved"  // a serial number was drawn, before anything was signed
	Submitted Event = "submitted" // a CA elsewhere, which draws its own serial numbers, is being asked: it may sign and not be heard
	Unsigned  Event = "unsigned"  // that CA made nothing
	Issued    Event = "issued"    // a certificate exists
	Refused   Event = "refused"   // lint or the comparison after signing said no; the serial stays used
	Revoked   Event = "revoked"   // must no longer be trusted
)

// The events that are no step of a certificate's, but tell what was decided, and who asked for it.
const (
	Denied     Event = "denied"     // an ask, or what should have been one, was refused
	Reported   Event = "reported"   // an ask would have been refused, if the policy did more than report
	Held       Event = "held"       // a revoked certificate's ask gets no other one: its owner is told to stop
	Withdrawn  Event = "withdrawn"  // a certificate is no longer published
	Authority  Event = "authority"  // a CA has another role than before
	Action     Event = "action"     // an operator's action was done, or was not
	Checkpoint Event = "checkpoint" // the entries before it were vouched for with the CA's key
)

// aboutCertificate reports whether an event tells of a certificate without being a step of it.
func (e Event) aboutCertificate() bool { return e == Held || e == Withdrawn }

// withoutCertificate reports whether an event is of no certificate at all.
func (e Event) withoutCertificate() bool {
	return e == Ordered || e == Submitted || e == Unsigned || e == Denied || e == Reported || e == Authority || e == Action || e == Checkpoint
}

// Entry is one line of the record. Fields that its event does not know are empty.
type Entry struct {
	Time        time.Time `json:"time"`
	Event       Event     `json:"event"`
	Order       string    `json:"order,omitempty"`       // order.ID
	Ask         string    `json:"ask,omitempty"`         // dialect.AskID
	For         string    `json:"for,omitempty"`         // who asked, in words
	Relation    int       `json:"relation,omitempty"`    // who asked, by Juju's names; of use where there is an application
	App         string    `json:"app,omitempty"`         // remote application
	Unit        string    `json:"unit,omitempty"`        // remote unit; empty when the application asked as a whole
	Rule        string    `json:"rule,omitempty"`        // of the policy, that allowed or refused it
	Code        string    `json:"code,omitempty"`        // dialect.Code of a denial; of an order that is refused for good, why
	Item        string    `json:"item,omitempty"`        // what is refused; the action's name
	Generation  int       `json:"generation,omitempty"`  // of the authority
	Serial      string    `json:"serial,omitempty"`      // hexadecimal, lower case
	Before      string    `json:"before,omitempty"`      // the serial that is replaced; the role that a CA had
	After       string    `json:"after,omitempty"`       // the role that a CA has now; "done" or "failed" for an action
	Subject     string    `json:"subject,omitempty"`     // RFC 4514 text
	Names       []string  `json:"names,omitempty"`       // subject alternative names
	NotAfter    time.Time `json:"not-after,omitzero"`    // of the certificate
	Certificate string    `json:"certificate,omitempty"` // PEM
	Reason      string    `json:"reason,omitempty"`      // of a refusal, revocation or failure
	Detail      string    `json:"detail,omitempty"`      // an action's parameters; the text of a checkpoint; the hash of the key that was made
	Remembered  bool      `json:"remembered,omitempty"`  // this unit did not do it: a backup or another program told
}

// Key tells issues apart of which one cannot be a repetition of the other: by who asked, and for which names.
func (e Entry) Key() string {
	sum := sha256.Sum256([]byte(e.For + "\n" + strings.Join(e.Names, "\n")))
	return hex.EncodeToString(sum[:12])
}
