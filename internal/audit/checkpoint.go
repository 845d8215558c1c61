// SPDX-License-Identifier: AGPL-3.0-only

// Package audit makes of the record what others can keep and judge: signed checkpoints, by which whoever holds one finds
// out that the record was rewritten, and security events in the words that log collectors know. It is pure. Where to look
// next: checkpoint.go and event.go here, package ledger for the entries, and disk/verify.go for how a record is judged.
package audit

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
)

// Checkpoint says how long a unit's record was at a time, and what was in it.
type Checkpoint struct {
	Unit  string    // whose record
	Model string    // UUID
	Lines int       // of the record
	Sum   string    // SHA-256 of these lines, with their ends, in hexadecimal
	Time  time.Time // in UTC, to the second
	Key   string    // cert.KeyHash of the CA that signed
}

// A checkpoint is one line of text, so that it survives in a log:
//
//	signet-checkpoint-v1 unit=signet/0 model=<UUID> lines=12 sum=<hex> time=<RFC 3339> key=<hex> signature=<base64>
//
// What is signed is the line up to the blank before "signature", after signedPrefix, so that no signature of a CA's, over a
// certificate or a list (both begin with 0x30), can be taken for one of these, nor the other way round.
const (
	marker       = "signet-checkpoint-v1"
	signedPrefix = "signet audit record\n"
)

// pattern finds checkpoints in a text; read knows how long their parts may be. Bounded repetitions would take ten times as
// long to compile, and a variable would be compiled at each start of the program.
func pattern() *regexp.Regexp {
	return regexp.MustCompile(marker + ` unit=([a-z0-9-]+/[0-9]+) model=([A-Za-z0-9-]+) lines=([1-9][0-9]*) ` +
		`sum=([0-9a-f]+) time=([0-9TZ:-]+) key=([0-9a-f]+) signature=([A-Za-z0-9+/]+={0,2})`)
}

// Signed is a checkpoint with its signature, as it was read.
type Signed struct {
	Checkpoint

	Text      string // the whole line
	signature []byte
}

// body is what is signed, without the prefix.
func (c Checkpoint) body() string {
	return fmt.Sprintf("%s unit=%s model=%s lines=%d sum=%s time=%s key=%s",
		marker, c.Unit, c.Model, c.Lines, c.Sum, c.Time.UTC().Format(time.RFC3339), c.Key)
}

// Sign signs a checkpoint with a CA's key, whose hash becomes part of it. The text is read back, so that what is given can
// be verified.
func Sign(c Checkpoint, ca *x509.Certificate, key crypto.Signer, random io.Reader) (string, error) {
	var err error
	if c.Key, err = cert.KeyHash(ca.PublicKey); err != nil {
		return "", err
	}
	algorithm, hash, err := algorithmOf(ca)
	if err != nil {
		return "", err
	}
	message := []byte(signedPrefix + c.body())
	if hash != 0 {
		digest := hash.New()
		_, _ = digest.Write(message)
		message = digest.Sum(nil)
	}
	signature, err := key.Sign(random, message, hash)
	if err != nil {
		return "", fmt.Errorf("cannot sign the checkpoint: %w", err)
	}
	text := c.body() + " signature=" + base64.StdEncoding.EncodeToString(signature)
	parsed, err := Parse(text)
	if err != nil {
		return "", err
	}
	return text, parsed.verify(ca, algorithm)
}

// algorithmOf is how a CA signs checkpoints. A hash of 0 means that its algorithm takes the message as it is.
func algorithmOf(ca *x509.Certificate) (x509.SignatureAlgorithm, crypto.Hash, error) {
	switch ca.PublicKeyAlgorithm {
	case x509.ECDSA:
		return x509.ECDSAWithSHA256, crypto.SHA256, nil
	case x509.RSA:
		return x509.SHA256WithRSA, crypto.SHA256, nil
	case x509.Ed25519:
		return x509.PureEd25519, 0, nil
	}
	return 0, 0, fmt.Errorf("cannot sign the checkpoint: no way is known for keys of type %s", ca.PublicKeyAlgorithm)
}

// Parse reads the text of one checkpoint, and nothing else.
func Parse(text string) (Signed, error) {
	found := pattern().FindStringSubmatch(text)
	if found == nil || found[0] != text {
		return Signed{}, errors.New("it is not the text of a checkpoint")
	}
	return read(found)
}

// read makes a checkpoint of what the pattern found.
func read(found []string) (Signed, error) {
	text := found[0]
	app, number, _ := strings.Cut(found[1], "/")
	if len(app) > 128 || len(number) > 9 || len(found[2]) > 64 || len(found[3]) > 10 || len(text) > maxText {
		return Signed{}, errors.New("a part of it is too long")
	}
	if len(found[4]) != 64 || len(found[6]) != 64 {
		return Signed{}, errors.New("a hash in it is none of SHA-256")
	}
	lines, err := strconv.Atoi(found[3])
	if err != nil {
		return Signed{}, errors.New("its number of lines is none")
	}
	at, err := time.Parse("2006-01-02T15:04:05Z", found[5])
	if err != nil {
		return Signed{}, errors.New("its time is none")
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(found[7])
	if err != nil {
		return Signed{}, errors.New("its signature is not base64")
	}
	signed := Signed{
		Checkpoint: Checkpoint{Unit: found[1], Model: found[2], Lines: lines, Sum: found[4], Time: at, Key: found[6]},
		Text:       text, signature: signature,
	}
	if !strings.HasPrefix(text, signed.body()+" ") {
		return Signed{}, errors.New("it is not written as checkpoints are")
	}
	return signed, nil
}

// maxText is longer than the text with the signature of any key of a CA's.
const maxText = 4096

// Find gives all checkpoints that stand in a text, such as a log, in their order and without doubles. What looks like one
// and cannot be read is left out.
func Find(text string) []Signed {
	var all []Signed
	seen := map[string]bool{}
	for _, found := range pattern().FindAllStringSubmatch(text, -1) {
		if signed, err := read(found); err == nil && !seen[signed.Text] {
			seen[signed.Text] = true
			all = append(all, signed)
		}
	}
	return all
}

// VerifiedBy reports whether a CA signed the checkpoint.
func (s Signed) VerifiedBy(ca *x509.Certificate) bool {
	algorithm, _, err := algorithmOf(ca)
	if err != nil {
		return false
	}
	hash, err := cert.KeyHash(ca.PublicKey)
	return err == nil && hash == s.Key && s.verify(ca, algorithm) == nil
}

func (s Signed) verify(ca *x509.Certificate, algorithm x509.SignatureAlgorithm) error {
	if err := ca.CheckSignature(algorithm, []byte(signedPrefix+s.body()), s.signature); err != nil {
		return fmt.Errorf("cannot verify the checkpoint: %w", err)
	}
	return nil
}
