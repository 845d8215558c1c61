// SPDX-License-Identifier: AGPL-3.0-only

package archive

import (
	"crypto/fips140"
	"errors"
	"fmt"
	"slices"
	"strings"

	"filippo.io/age"

	"github.com/signet-charm/signet/internal/cert"
)

// The cost of a guess at a passphrase: scrypt (RFC 7914) with N = 2^18, about a second and 256 MiB, is age's own. More
// than four times that is refused unread, because a hostile archive could ask for all of the memory.
const (
	workFactor    = 18
	maxWorkFactor = 20
)

// Locks say who can open an archive: the owners of age recipients, or whoever knows a passphrase. A passphrase goes
// alone: age promises that such a file was made by somebody who knows it.
type Locks struct {
	Recipients []string // "age1…"
	Passphrase cert.Key
}

// Opener opens archives: with the text of an age identity file ("AGE-SECRET-KEY-1…" lines and comments) or with a
// passphrase, not with both.
type Opener struct {
	Identities cert.Key
	Passphrase cert.Key
}

// A seal is what one archive is encrypted to.
type seal struct {
	recipients []age.Recipient
	trial      age.Identity // opens it once, for the trial restore
}

// errForbidden is what becomes of backups where the process may use what FIPS 140 approves only, which age's X25519 with
// ChaCha20-Poly1305 (RFC 8439) and scrypt are not.
var errForbidden = errors.New("age's encryption is not approved by FIPS 140, and GODEBUG=fips140=only forbids all other: " +
	"run signet with fips140=on for it, or back up the machine and the controller instead")

func (l Locks) seal(work int) (seal, error) {
	switch {
	case fips140.Enforced():
		return seal{}, errForbidden
	case l.Passphrase.IsZero() && len(l.Recipients) == 0:
		return seal{}, errors.New("nobody could open it: give age recipients or a passphrase")
	case l.Passphrase.IsZero():
		return sealTo(l.Recipients)
	case len(l.Recipients) > 0:
		return seal{}, errors.New("age takes a passphrase or recipients, not both: give one of them")
	}
	recipient, err := age.NewScryptRecipient(l.Passphrase.Reveal())
	if err != nil {
		return seal{}, errors.New("age does not take the passphrase: give another one")
	}
	recipient.SetWorkFactor(work)
	identity, err := passphraseIdentity(l.Passphrase)
	return seal{recipients: []age.Recipient{recipient}, trial: identity}, err
}

// sealTo encrypts to recipients, whose identities are elsewhere, and to one more, made here for the trial restore of
// this archive. That opens the archive to nobody else: its private half is in the memory of this process only, beside
// the very keys that it protects, is written nowhere, and is forgotten with the seal. What stays in the archive's header
// is a wrapped file key like each recipient's, and of the same kind, hence no easier to break.
func sealTo(texts []string) (seal, error) {
	var made seal
	hybrids := 0
	for i, text := range texts {
		recipient, err := parseRecipient(text)
		if err != nil {
			return seal{}, fmt.Errorf("recipient %d of %d %w", i+1, len(texts), err)
		}
		if _, hybrid := recipient.(*age.HybridRecipient); hybrid {
			hybrids++
		}
		made.recipients = append(made.recipients, recipient)
	}
	switch hybrids {
	case 0:
		identity, err := age.GenerateX25519Identity()
		if err != nil {
			return seal{}, fmt.Errorf("no identity for the trial restore: %w", err)
		}
		made.trial, made.recipients = identity, append(made.recipients, identity.Recipient())
	case len(texts):
		identity, err := age.GenerateHybridIdentity()
		if err != nil {
			return seal{}, fmt.Errorf("no identity for the trial restore: %w", err)
		}
		made.trial, made.recipients = identity, append(made.recipients, identity.Recipient())
	default:
		return seal{}, errors.New("age does not mix post-quantum recipients (age1pq1…) with others: give one kind")
	}
	return made, nil
}

// parseRecipient reads one public key. The errors do not quote it: what is no recipient may be a secret.
func parseRecipient(text string) (age.Recipient, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(strings.ToUpper(text), "AGE-SECRET-KEY-") {
		return nil, errors.New("is a secret key: make a new one, since this one was shown, and give its public key (age1…)")
	}
	var recipient age.Recipient
	var err error
	if strings.HasPrefix(text, "age1pq1") {
		recipient, err = age.ParseHybridRecipient(text)
	} else {
		recipient, err = age.ParseX25519Recipient(text)
	}
	if err != nil {
		return nil, errors.New("is not an age public key: give one that begins with age1, as age-keygen prints it")
	}
	return recipient, nil
}

func (o Opener) identities() ([]age.Identity, error) {
	switch {
	case fips140.Enforced():
		return nil, errForbidden
	case o.Identities.IsZero() && o.Passphrase.IsZero():
		return nil, errors.New("it is encrypted: give an age identity or the passphrase")
	case !o.Identities.IsZero() && !o.Passphrase.IsZero():
		return nil, errors.New("it opens with an identity or with a passphrase: give one of them")
	case o.Identities.IsZero():
		identity, err := passphraseIdentity(o.Passphrase)
		return []age.Identity{identity}, err
	}
	var lines []string
	for line := range strings.Lines(o.Identities.Reveal()) { // what was pasted somewhere has blanks around it
		lines = append(lines, strings.TrimSpace(line))
	}
	identities, err := age.ParseIdentities(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil { // age's own text can quote characters of a key
		return nil, errors.New("the identity is not one of age: give the text that age-keygen wrote, with its line AGE-SECRET-KEY-1…")
	}
	return identities, nil
}

func passphraseIdentity(passphrase cert.Key) (age.Identity, error) {
	identity, err := age.NewScryptIdentity(passphrase.Reveal())
	if err != nil {
		return nil, errors.New("age does not take the passphrase: give another one")
	}
	identity.SetMaxWorkFactor(maxWorkFactor)
	return identity, nil
}

// explain says what to do when an archive does not open to this one.
func (o Opener) explain(err error) error {
	var locked *age.NoIdentityMatchError
	if !errors.As(err, &locked) {
		return err
	}
	switch byPassphrase := slices.Contains(locked.StanzaTypes, "scrypt"); {
	case byPassphrase && o.Passphrase.IsZero():
		return errors.New("it is locked with a passphrase: give that, not an identity")
	case byPassphrase:
		return errors.New("the passphrase does not open it: give the one that was in force when it was made")
	case !o.Passphrase.IsZero():
		return errors.New("it is locked for age recipients: give the identity of one of them, not a passphrase")
	}
	return errors.New("the identity does not open it: give that of a recipient who was set when it was made")
}
