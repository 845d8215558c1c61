// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"
)

// Reason is why a certificate was revoked (RFC 5280, 5.3.1), by the name that the RFC gives it.
type Reason string

// The reasons for which signet revokes. The RFC's certificateHold and removeFromCRL are not among them: what was revoked
// once stays so.
const (
	Unspecified          Reason = "unspecified"
	KeyCompromise        Reason = "keyCompromise"
	CACompromise         Reason = "cACompromise"
	AffiliationChanged   Reason = "affiliationChanged"
	Superseded           Reason = "superseded"
	CessationOfOperation Reason = "cessationOfOperation"
	PrivilegeWithdrawn   Reason = "privilegeWithdrawn"
	AACompromise         Reason = "aACompromise"
)

// reasonCodes are the CRLReason values of RFC 5280, 5.3.1.
func reasonCodes() map[Reason]int {
	return map[Reason]int{
		Unspecified: 0, KeyCompromise: 1, CACompromise: 2, AffiliationChanged: 3, Superseded: 4,
		CessationOfOperation: 5, PrivilegeWithdrawn: 9, AACompromise: 10,
	}
}

// Code is the reason's number in CRLs and OCSP responses; 0 for one that is not known.
func (r Reason) Code() int { return reasonCodes()[r] }

// ReasonOf gives the reason of a number. Those that signet does not use, such as certificateHold, are unspecified.
func ReasonOf(code int) Reason {
	for reason, known := range reasonCodes() {
		if known == code {
			return reason
		}
	}
	return Unspecified
}

// ParseReason reads a reason's name, whatever its case; nothing at all is unspecified.
func ParseReason(text string) (Reason, error) {
	if text == "" {
		return Unspecified, nil
	}
	for reason := range reasonCodes() {
		if strings.EqualFold(text, string(reason)) {
			return reason, nil
		}
	}
	return "", fmt.Errorf("%q is no reason to revoke: unspecified, keyCompromise, cACompromise, affiliationChanged, "+
		"superseded, cessationOfOperation, privilegeWithdrawn or aACompromise (RFC 5280, 5.3.1)", shorten(text))
}

// Revocation says that a certificate must no longer be trusted.
type Revocation struct {
	Serial string    `json:"serial"` // SerialText
	Time   time.Time `json:"time"`   // whole seconds, UTC
	Reason Reason    `json:"reason,omitempty"`
	// Ends is when the certificate ends by itself, after which it need not be listed any longer; zero where nobody knows.
	Ends time.Time `json:"ends,omitzero"`
	// Key is the KeyHash of a key that must not be certified again; empty where the reason says nothing about the key.
	Key string `json:"key,omitempty"`
	// Held is that somebody asked again for what was revoked for good, which must not be forgotten.
	Held bool `json:"held,omitempty"`
}

// ParseCRL reads a revocation list in PEM; nil where there is none that can be read. One without a number is read as well,
// which some CAs make although they must not (RFC 5280, 5.2.3).
func ParseCRL(text string) *x509.RevocationList {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil
	}
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		return nil
	}
	return list
}
