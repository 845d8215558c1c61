// SPDX-License-Identifier: AGPL-3.0-only

package takeover

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
)

// index is what openssl's database of issued certificates says.
type index struct {
	revoked []cert.Revocation    // in the order of the lines
	ends    map[string]time.Time // of all certificates, by serial number's text
}

// parseIndex reads index.txt: on each line the status (V valid, R revoked, E expired), the end, the revocation, the
// serial number, the file and the subject, with tabs between them. A line that cannot be read is an error: it may be one
// that revokes.
func parseIndex(text string) (index, error) {
	read := index{ends: map[string]time.Time{}}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#") { // openssl passes comments over
			continue
		}
		if err := read.add(line); err != nil {
			return index{}, fmt.Errorf("index.txt, line %d: %w: correct the line", number, err)
		}
	}
	return read, nil
}

func (x *index) add(line string) error {
	const count = 6
	fields := strings.SplitN(line, "\t", count) // the subject may hold tabs
	if len(fields) != count {
		return fmt.Errorf("it has %d fields instead of %d", len(fields), count)
	}
	status, end, revocation := fields[0], fields[1], fields[2]
	serial, err := parseSerial(fields[3])
	if err != nil {
		return err
	}
	if x.ends[serial], err = parseTime(end); err != nil {
		return err
	}
	switch status {
	case "V", "E":
		if revocation != "" {
			return fmt.Errorf("the status is %s, and yet it was revoked", status)
		}
		return nil
	case "R":
		date, reason, _ := strings.Cut(revocation, ",")
		at, err := parseTime(date)
		if err != nil {
			return err
		}
		why, err := parseReason(reason)
		x.revoked = append(x.revoked, cert.Revocation{Serial: serial, Time: at, Reason: why})
		return err
	}
	return fmt.Errorf("the status %s is none of V, R and E", quoted(status))
}

// parseSerial reads a serial number in hexadecimal digits.
func parseSerial(text string) (string, error) {
	const limit = 64 // RFC 5280, 4.1.2.2, allows 40; some CAs did not stop there
	digits := func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", r) }
	serial, ok := new(big.Int).SetString(text, 16)
	if !ok || len(text) > limit || strings.ContainsFunc(text, digits) {
		return "", fmt.Errorf("the serial number %s is not hexadecimal", quoted(text))
	}
	return cert.SerialText(serial), nil
}

// parseTime reads a time as certificates have it: UTCTime up to 2049, then GeneralizedTime (RFC 5280, 4.1.2.5).
func parseTime(text string) (time.Time, error) {
	long := text
	if len(text) == len("YYMMDDHHMMSSZ") {
		century := "20"
		if text >= "50" { // 4.1.2.5.1
			century = "19"
		}
		long = century + text
	}
	const layout = "20060102150405Z"
	at, err := time.Parse(layout, long)
	if err != nil || len(long) != len(layout) { // time takes fractions of a second too
		return time.Time{}, fmt.Errorf("the time %s is not YYMMDDHHMMSSZ", quoted(text))
	}
	return at, nil
}

// parseReason reads why a certificate was revoked, in openssl's words, of which some have a value after a comma: the
// moment of a key's compromise, or what to do while a certificate is on hold. What is on hold stays revoked.
func parseReason(text string) (cert.Reason, error) {
	word, _, _ := strings.Cut(text, ",")
	switch word {
	case "keyTime":
		return cert.KeyCompromise, nil
	case "CAkeyTime":
		return cert.CACompromise, nil
	case "certificateHold", "holdInstruction", "removeFromCRL":
		return cert.Unspecified, nil
	}
	reason, err := cert.ParseReason(word)
	if err != nil {
		return "", errors.New("the reason " + quoted(word) + " is not one that openssl writes")
	}
	return reason, nil
}
