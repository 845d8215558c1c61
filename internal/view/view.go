// SPDX-License-Identifier: AGPL-3.0-only

// Package view holds what an operator sees of a unit, as plain values with JSON tags: its status, its CAs, every certificate
// that it issued or has, every request and what became of it, and what its record counts. Of makes it of what a turn had; it
// is made when somebody asks, never in each turn. No secret is in it: certificates are public, keys have no field. Where to
// look next: of.go, then package unit, whose Survey gives most of what is shown, and package agent, which answers with it on
// the local socket.
package view

import (
	"time"

	"github.com/signet-charm/signet/internal/juju"
)

// View is all that an operator sees of a unit.
type View struct {
	Source      Source    `json:"source"`
	At          time.Time `json:"at"`            // when it was made
	Turn        time.Time `json:"turn,omitzero"` // of the turn whose outcome it is
	Trouble     string    `json:"trouble,omitempty"`
	Unit        string    `json:"unit"`
	Application string    `json:"application"`
	Model       string    `json:"model,omitempty"`
	ModelUUID   string    `json:"model-uuid,omitempty"`
	Version     string    `json:"version,omitempty"` // of signet
	JujuVersion string    `json:"juju-version,omitempty"`
	Leader      bool      `json:"leader"`
	Signing     bool      `json:"signing"` // it can sign, or have signed, now

	Status       Condition     `json:"status"` // as Juju shows it
	Conditions   []Condition   `json:"conditions,omitempty"`
	Options      []string      `json:"option-faults,omitempty"`
	Settings     Settings      `json:"settings,omitzero"`
	Wake         time.Time     `json:"wake,omitzero"` // of the next turn, where nothing happens before
	Rollover     Rollover      `json:"rollover"`
	Authorities  []Authority   `json:"authorities,omitempty"` // the one that signs first
	Certificates []Certificate `json:"certificates,omitempty"`
	Requests     []Request     `json:"requests,omitempty"`
	Renewals     []Renewal     `json:"renewals,omitempty"` // by time
	Record       Record        `json:"record"`
}

// Source tells where a view comes from, and so what it lacks.
type Source string

// The sources.
const (
	FromAgent Source = "agent" // the outcome of its last turn
	FromDisk  Source = "disk"  // the unit's folder: databags, options and what other units did are not known
)

// Condition is one thing that an operator should know.
type Condition struct {
	Level   juju.Level `json:"level,omitempty"`
	Message string     `json:"message,omitempty"`
}

// Rollover is how far the replacement of the CA has come.
type Rollover struct {
	Phase  string    `json:"phase,omitempty"` // see provider.Phase
	Note   string    `json:"note,omitempty"`
	Paused bool      `json:"paused,omitempty"`
	Next   time.Time `json:"next,omitzero"` // when the next one begins by itself
}

// Authority is one CA.
type Authority struct {
	Generation int       `json:"generation"`
	Role       string    `json:"role"` // requested, next, trusted, signing, retiring, withdrawn
	Subject    string    `json:"subject,omitempty"`
	Issuer     string    `json:"issuer,omitempty"`
	Root       bool      `json:"root"` // it is signed with its own key
	Serial     string    `json:"serial,omitempty"`
	KeyType    string    `json:"key-type,omitempty"`
	NotBefore  time.Time `json:"not-before,omitzero"`
	NotAfter   time.Time `json:"not-after,omitzero"`
	SHA256     string    `json:"sha256,omitempty"`
	Adopted    time.Time `json:"adopted,omitzero"` // from another program
	Until      time.Time `json:"until,omitzero"`   // retiring: when its last certificate ends
	Vault      string    `json:"vault,omitempty"`  // the mount in which its key is
	Issued     int       `json:"issued"`           // certificates of it that are published
	Revoked    int       `json:"revoked"`
	CRL        *CRL      `json:"crl,omitempty"`
	CRLURLs    []string  `json:"crl-urls,omitempty"`
	OCSPURLs   []string  `json:"ocsp-urls,omitempty"`
	PEM        string    `json:"pem,omitempty"`
	Chain      []string  `json:"chain,omitempty"` // PEM, of those above it, the root last
}

// CRL is a revocation list.
type CRL struct {
	Number     string    `json:"number,omitempty"`
	ThisUpdate time.Time `json:"this-update"`
	NextUpdate time.Time `json:"next-update"`
	Entries    int       `json:"entries"`
	Signed     bool      `json:"signed"` // by this CA
}

// State is how a certificate is.
type State string

// The states, the first that is true counts.
const (
	Held     State = "held"     // revoked for good: its owner is told to stop, and gets no other
	Revoked  State = "revoked"  // must not be trusted any more
	Expired  State = "expired"  // its time is over
	Expiring State = "expiring" // a tenth of its life, or less, is left: its renewal did not come
	Valid    State = "valid"
	Waiting  State = "waiting" // asked for, and not there yet
)

// Role is on which side of a certificate this unit is.
type Role string

// The roles.
const (
	Issued Role = "issued" // by this application, for others
	Own    Role = "own"    // for this unit
)

// Certificate is one certificate that is published or laid on disk, or is to be.
type Certificate struct {
	Role          Role      `json:"role"`
	State         State     `json:"state"`
	Relation      string    `json:"relation,omitempty"` // "certificates:3"
	Endpoint      string    `json:"endpoint,omitempty"`
	Application   string    `json:"application,omitempty"` // whose it is; of an own one, whose CA's
	Unit          string    `json:"unit,omitempty"`        // whose it is; empty where all units share it
	Kind          string    `json:"kind"`                  // server, client, application, intermediate
	Dialect       string    `json:"dialect,omitempty"`     // legacy, csr
	CommonName    string    `json:"common-name,omitempty"`
	Names         []string  `json:"names,omitempty"`
	Serial        string    `json:"serial,omitempty"`
	SHA256        string    `json:"sha256,omitempty"`
	Subject       string    `json:"subject,omitempty"`
	Issuer        string    `json:"issuer,omitempty"`
	Generation    int       `json:"generation,omitempty"` // of the CA; 0 for another's
	KeyType       string    `json:"key-type,omitempty"`
	NotBefore     time.Time `json:"not-before,omitzero"`
	NotAfter      time.Time `json:"not-after,omitzero"`
	RenewAt       time.Time `json:"renew-at,omitzero"` // when its renewal is due
	PutOff        time.Time `json:"put-off,omitzero"`  // until when it has to wait, though due
	RevokedAt     time.Time `json:"revoked-at,omitzero"`
	RevokedReason string    `json:"revoked-reason,omitempty"`
	Rule          string    `json:"rule,omitempty"` // of the policy, that allowed it
	Orphaned      bool      `json:"orphaned,omitempty"`
	Path          string    `json:"path,omitempty"` // own: of its file on this machine
	Request       string    `json:"request,omitempty"`
	PEM           string    `json:"pem,omitempty"`
}

// Outcome is what became of a request.
type Outcome string

// The outcomes.
const (
	Granted     Outcome = "granted"
	Refused     Outcome = "refused"
	InWaiting   Outcome = "waiting"     // it will be granted, or may be, without anybody changing it
	Outstanding Outcome = "outstanding" // somebody outside is to sign it
)

// Request is one ask, or one item that should have been one.
type Request struct {
	ID          string    `json:"id"`       // of the ask; of an item that is none, what tells it apart
	Sent        bool      `json:"sent"`     // by this unit; else it was received
	Outcome     Outcome   `json:"outcome"`  // a refused one may have a certificate still
	Relation    string    `json:"relation"` // "certificates:3"
	Endpoint    string    `json:"endpoint,omitempty"`
	Application string    `json:"application,omitempty"` // the other side's
	Unit        string    `json:"unit,omitempty"`        // who asks; empty for the application as a whole
	Dialect     string    `json:"dialect,omitempty"`
	Kind        string    `json:"kind,omitempty"`
	Item        string    `json:"item,omitempty"` // what is refused, as its writer would look for it
	CommonName  string    `json:"common-name,omitempty"`
	Names       []string  `json:"names,omitempty"`
	Hash        string    `json:"hash,omitempty"` // CSR dialect: the SHA-256 of the request's text
	Since       time.Time `json:"since,omitzero"` // first recorded, or signed
	Code        string    `json:"code,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	Rule        string    `json:"rule,omitempty"`
	Fix         string    `json:"fix,omitempty"` // the command that would allow it
	Lapsing     bool      `json:"lapsing,omitempty"`
	Reported    bool      `json:"reported,omitempty"` // it would be refused, were the policy more than reported
	Serial      string    `json:"serial,omitempty"`   // of the certificate that it has
	PEM         string    `json:"pem,omitempty"`      // CSR dialect: the request
}

// Event is what the calendar has.
type Event string

// The events.
const (
	Renews     Event = "renewal"
	Ends       Event = "expiry"         // of what is not renewed before
	RollsOver  Event = "ca-rollover"    // a new CA is made
	Retires    Event = "ca-retirement"  // a CA is withdrawn
	CAExpires  Event = "ca-expiry"      // likewise
	ListExpiry Event = "crl-expiry"     // a revocation list must have been signed anew by then
	TurnAgain  Event = "turn-scheduled" // the next look at everything
)

// Renewal is one line of the calendar.
type Renewal struct {
	At          time.Time `json:"at"`
	Event       Event     `json:"event"`
	Serial      string    `json:"serial,omitempty"`
	Name        string    `json:"name,omitempty"`
	Application string    `json:"application,omitempty"`
	Unit        string    `json:"unit,omitempty"`
	Relation    string    `json:"relation,omitempty"`
	Generation  int       `json:"generation,omitempty"`
}

// Record is what this unit's record of decisions counts. Each unit has what it did while it led.
type Record struct {
	Entries    int            `json:"entries"`
	First      time.Time      `json:"first,omitzero"`
	Last       time.Time      `json:"last,omitzero"`
	Events     map[string]int `json:"events,omitempty"`
	Refusals   map[string]int `json:"refusals,omitempty"`  // by code
	Checkpoint time.Time      `json:"checkpoint,omitzero"` // of the last one
	LegacyKeys int            `json:"legacy-keys"`         // private keys that this unit publishes in relation data
	Trouble    string         `json:"trouble,omitempty"`   // why the record cannot be read
	Uncovered  int            `json:"uncovered,omitempty"` // entries after the last checkpoint
	Backup     time.Time      `json:"backup,omitzero"`     // of the last one that this unit wrote
}
