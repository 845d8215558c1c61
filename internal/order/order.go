// SPDX-License-Identifier: AGPL-3.0-only

// Package order holds the verbs that the core asks of the outside world, and their answers. An order is a value; its
// ID is the hash of what is ordered, so that an order repeated after a crash finds the first answer instead of having
// a second effect. Where to look next: authority.go for what only a CA does, archive.go for what is taken over and kept
// safe, machine.go for what is asked of a consumer's machine, then packages ca, disk and host, which carry orders out.
package order

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/signet-charm/signet/internal/cert"
)

// ID names an order by what it orders: 32 hexadecimal digits.
type ID string

// Order is one thing that only the outside world can do.
type Order interface {
	ID() ID
	order()
}

// Sign asks for one certificate.
type Sign struct {
	For       string // who asks, for the record: "certificates:3 etcd/0 server 10.0.0.1"
	Asker     Asker  // the same in parts, for the record; not part of the ID
	Rule      string // of the policy that allows it, for the record; not part of the ID
	Ask       string // the ask's ID; different asks for the same Spec are different orders
	Spec      cert.Spec
	KeyType   cert.KeyType // of the key to make; empty when the Spec has a request
	Key       cert.Key     // the key to certify again; zero to make a new one, or when the Spec has a request
	Replaces  string       // serial (hex) of the certificate that this one renews; empty for a first one
	Signer    Signer
	NotBefore time.Time // not part of the ID
}

// Asker is who asks for a certificate, by Juju's names here.
type Asker struct {
	Relation int
	App      string
	Unit     string // empty when the application asks as a whole
}

// Signer is the authority that shall sign. Its key may be zero where the carrier keeps it (no secrets in the model), and
// is where Vault does.
type Signer struct {
	cert.Authority
	Key   cert.Key
	Vault *Vault // where the authority is; nil for here
	Hand  *Hand  `json:",omitempty"` // an operator signs; nil for a program
}

// Hand is what there is of a certificate that an operator signs elsewhere. While there is nothing, the order is pending, and
// its answer has the request to sign, with the key that was made for it.
type Hand struct {
	Certificate string // PEM, as the operator brought it; empty while that is awaited
	Trial       bool   // only say whether it would do
}

// MakeSecret asks for 32 random bytes, as base64 text, to become the Juju secret of this label.
type MakeSecret struct{ Label string }

// State tells how far an order has come.
type State string

// The states of an answer.
const (
	Done    State = "done"
	Pending State = "pending" // under way; ask again
	Failed  State = "failed"
)

// Answer is an order's outcome. Only the fields of its order's kind are set.
type Answer struct {
	Order      ID
	State      State
	Failure    *Failure
	Authority  cert.Authority // CreateAuthority, Consult (zero where there is none), InstallAuthority
	Issued     cert.Issued    // Sign, CrossSign
	Request    string         // MakeRequest, RequestAuthority, a pending Sign of an operator's: PEM
	CRL        string         // SignCRL: PEM
	Checkpoint string         // SignRecord: its text
	Key        cert.Key       // CreateAuthority, RequestAuthority, FetchKey: the CA's key (PKCS#8 PEM); MakeSecret, Unwrap: the text
	Serial     string         // Sign, CreateAuthority: hex
	Sums       Sums           // Install: of the files that are now in place
	Laid       string         // Trust: counts how often files were laid or removed
	Found      Found          // ReadAuthority
	Archive    Archive        // ReadArchive
	Consulted  Consulted      // Consult; CreateAuthority and InstallAuthority in Vault; Revoke (its CRL alone)
	Again      time.Time      // when to order the same again at the earliest, where that is known
	Names      []string       // WriteArchive, ListArchives, DeleteArchive: the backups concerned
}

// Failure says why an order failed. The message names what to do next and holds no secret. It is the error of whoever
// carries the order.
type Failure struct {
	Code    string // stable, lower case with hyphens: "lint", "no-key", "disk", …
	Message string
}

// Error is the message.
func (f *Failure) Error() string { return f.Message }

// Final reports whether the same order would fail in the same way again: it is the order that is wrong, not the moment.
func (f *Failure) Final() bool { return f.Code == "lint" || f.Code == "bad-order" }

// Passes reports whether a failure may end by itself, with nobody doing anything here.
func (f *Failure) Passes() bool {
	switch f.Code {
	case "vault-unreachable", "vault-standby", "vault-busy", "vault-slow", "vault-error":
		return true
	}
	return false
}

// Fail makes a failure.
func Fail(code, format string, args ...any) error {
	return &Failure{Code: code, Message: fmt.Sprintf(format, args...)}
}

// FailureOf gives an error as a failure. One that has no code comes from where carriers keep their state: "disk".
func FailureOf(err error) *Failure {
	var failure *Failure
	if errors.As(err, &failure) {
		return failure
	}
	return &Failure{Code: "disk", Message: err.Error()}
}

// ByID indexes answers by their orders.
func ByID(answers []Answer) map[ID]Answer {
	index := make(map[ID]Answer, len(answers))
	for _, answer := range answers {
		index[answer.Order] = answer
	}
	return index
}

// ID implements Order. The keys are not part of it, nor is the time: a crash may lie between two attempts.
func (o Sign) ID() ID {
	named := []any{o.Ask, o.Spec, o.KeyType, o.Replaces, o.Signer.Generation, o.Signer.Certificate}
	if o.Signer.Hand != nil { // each certificate that is brought is judged by itself
		named = append(named, *o.Signer.Hand)
	}
	return hash("sign", named)
}

// ID implements Order.
func (o MakeSecret) ID() ID { return hash("make-secret", o) }

func (Sign) order()       {}
func (MakeSecret) order() {}

// keyHash stands for a secret in what names an order.
func keyHash(key cert.Key) string {
	sum := sha256.Sum256([]byte(key.Reveal()))
	return hex.EncodeToString(sum[:])
}

// hash is over the JSON of plain values, which encoding/json writes in one way only.
func hash(verb string, what any) ID {
	text, err := json.Marshal([]any{verb, what})
	if err != nil {
		panic("order: a plain value has no JSON: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return ID(hex.EncodeToString(sum[:16]))
}
