// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// What a charm leaves behind that "juju refresh --switch" made a signet of.
const (
	// LeftFolderKey is where Snapshot.Local names the folder that holds EasyRSA's CA.
	LeftFolderKey = "takeover.folder"

	easyRSACert = "certificate_authority" // leader settings of the EasyRSA charm
	easyRSAKey  = "certificate_authority_key"

	selfSignedLabel = "active-ca-certificates" // secret of the self-signed-certificates charm
	selfSignedCert  = "ca-certificate"
)

// takeOver goes on as the CA of the charm that this application was before: taken says whether there is one, done
// whether it is in force. Its certificates, keys and revocations stay what they are, and nothing is issued again.
func (s *step) takeOver() (taken, done bool) {
	found, taken, done := s.leftBehind()
	if !taken || !done {
		return taken, false
	}
	if err := s.adopt(found, firstGeneration); err != nil {
		s.report(juju.Blocked, "cannot take over the CA of %s: %v", found.Source, err)
		return true, false
	}
	if !s.remember(firstGeneration, found.Issued) {
		return true, false
	}
	s.record.Current = s.adopted
	return true, true
}

// leftBehind looks for another charm's CA.
func (s *step) leftBehind() (found order.Found, taken, done bool) {
	if secret, has := s.snap.Secret(selfSignedLabel); has {
		if secret.Content == nil {
			s.report(juju.Waiting, "cannot read the CA's key from secret %s; is its back end reachable?", selfSignedLabel)
			return order.Found{}, true, false
		}
		return order.Found{
			Source: "self-signed-certificates", Key: cert.NewKey(secret.Content[keyMember]),
			Authority: cert.Authority{Certificate: secret.Content[selfSignedCert]},
		}, true, true
	}
	settings := s.snap.Leftovers
	folder := s.snap.Local[LeftFolderKey]
	if folder == "" && settings[easyRSAKey] == "" {
		return order.Found{}, false, false
	}
	if folder != "" {
		answer, ok := s.obtain(order.ReadAuthority{Path: folder})
		if !ok {
			s.reportReading(answer, folder)
			return order.Found{}, true, false
		}
		found = answer.Found
	}
	if settings[easyRSAKey] == "" {
		return found, true, true
	}
	left, err := cert.Parse(settings[easyRSACert])
	if err != nil {
		s.report(juju.Blocked, "cannot take over the CA in EasyRSA's leader settings: %v", err)
		return order.Found{}, true, false
	}
	if folder == "" { // another unit had the folder, or its machine is gone
		return order.Found{
			Source: "EasyRSA's leader settings", Key: cert.NewKey(settings[easyRSAKey]),
			Authority: cert.Authority{Certificate: cert.EncodeCertificates(left)},
		}, true, true
	}
	if ours, err := cert.Parse(found.Authority.Certificate); err != nil || !ours.Equal(left) {
		s.report(juju.Blocked, "EasyRSA's folder %s and its leader settings have two different CAs: remove the one that is not in use", folder)
		return order.Found{}, true, false
	}
	return found, true, true
}

func (s *step) reportReading(answer order.Answer, path string) {
	if answer.Failure != nil {
		s.report(juju.Blocked, "cannot take over the CA in %s: %s", path, answer.Failure.Message)
		s.wake(s.now.Add(retry))
		return
	}
	s.report(juju.Maintenance, "reading the CA in %s", path)
}

// adopt makes a slot of another program's CA, in s.adopted, keeps its key, and carries on what it revoked and issued.
func (s *step) adopt(found order.Found, generation int) error {
	one, key, err := s.foreign(found)
	if err != nil {
		return err
	}
	one.Generation = generation
	s.adopted = one
	s.keepKey(s.adopted, key)
	s.addRevoked(generation, found.Revoked...)
	return nil
}

// foreign gives another program's CA as a slot without a number, and its key; the error says why it cannot go on here.
func (s *step) foreign(found order.Found) (slot, cert.Key, error) {
	certificate, err := cert.Parse(found.Authority.Certificate)
	if err != nil {
		return slot{}, cert.Key{}, err
	}
	private, err := cert.ParseKey(found.Key)
	if err != nil {
		return slot{}, cert.Key{}, fmt.Errorf("its key is unusable: %w", err)
	}
	if _, err := cert.KeyTypeOf(certificate.PublicKey); err != nil {
		return slot{}, cert.Key{}, err
	}
	above := s.linked(certificate, found.Authority.Issuers)
	if err := cert.CheckAuthority(certificate, above, private.Public(), s.now); err != nil {
		return slot{}, cert.Key{}, err
	}
	key, err := cert.EncodeKey(private)
	if err != nil {
		return slot{}, cert.Key{}, fmt.Errorf("its key is unusable: %w", err)
	}
	return slot{
		Certificate: cert.EncodeCertificates(certificate), Issuers: encodeAll(above),
		Made: s.options(), Adopted: s.now.UTC().Truncate(time.Second),
	}, key, nil
}

// remember has the certificates that another program issued recorded; true when that is done.
func (s *step) remember(generation int, texts []string) bool {
	entries := s.entriesOf(generation, "taken over", texts)
	if len(entries) == 0 {
		return true
	}
	_, done := s.obtain(order.Remember{Entries: entries})
	return done
}

// entriesOf are ledger entries of certificates that were issued elsewhere.
func (s *step) entriesOf(generation int, whose string, texts []string) []ledger.Entry {
	var entries []ledger.Entry
	for _, text := range texts {
		leaf, err := cert.Parse(text)
		if err != nil {
			continue
		}
		entries = append(entries, ledger.Entry{
			Time: leaf.NotBefore.UTC(), Event: ledger.Issued, For: whose, Generation: generation,
			Serial: cert.SerialText(leaf.SerialNumber), Subject: leaf.Subject.String(), Names: cert.NamesOf(leaf).List(),
			NotAfter: leaf.NotAfter.UTC(), Certificate: cert.EncodeCertificates(leaf),
		})
	}
	slices.SortFunc(entries, func(a, b ledger.Entry) int { return strings.Compare(a.Serial, b.Serial) })
	return slices.CompactFunc(entries, func(a, b ledger.Entry) bool { return a.Serial == b.Serial })
}

// actImport goes on as a CA that another program made: at once where nothing was issued yet, else by a rollover to it.
func (s *step) actImport(params *juju.Config) {
	path := params.Text("path", "")
	if path == "" {
		s.fail("parameter path is missing: copy the CA to the unit with juju scp, and name the file or folder")
		return
	}
	answer, done := s.await(order.ReadAuthority{
		Path: path, KeyPath: params.Text("key-path", ""), PassphrasePath: params.Text("passphrase-path", ""),
	})
	if !done {
		return
	}
	found := answer.Found
	certificate, err := cert.Parse(found.Authority.Certificate)
	if err != nil {
		s.fail("cannot import the CA: %v", err)
		return
	}
	fresh := s.current.slot == nil || s.unused() // without a CA nothing is cut
	results := map[string]string{
		"subject": certificate.Subject.String(), "expires": certificate.NotAfter.UTC().Format(time.RFC3339), "source": found.Source,
		"issued": strconv.Itoa(len(found.Issued)), "revoked": strconv.Itoa(len(found.Revoked)),
		"effect": "it takes the place of a CA that has issued nothing",
	}
	if !fresh {
		results["effect"] = "a rollover to it begins: it is published to be trusted first"
	}
	switch _, _, err := s.foreign(found); {
	case err != nil:
		s.fail("cannot import the CA: %v", err)
		return
	case s.current.slot != nil && certificate.Equal(s.current.certificate):
		s.fail("this CA is in service already")
		return
	case s.record.Next != nil && !fresh:
		s.fail("a rollover to CA %d is under way: let it end, or run rotate-ca step=abort", s.record.Next.Generation)
		return
	case params.Flag("dry-run", false):
		s.succeed(results)
		return
	}
	generation := s.freeGeneration()
	if err := s.adopt(found, generation); err != nil {
		s.fail("cannot import the CA: %v", err)
		return
	}
	if entries := s.entriesOf(generation, "imported", found.Issued); len(entries) > 0 {
		if _, done := s.await(order.Remember{Entries: entries}); !done {
			return
		}
	}
	if fresh {
		s.record = record{Current: s.adopted}
	} else {
		s.record.Next, s.record.Last, s.record.Since = &s.adopted, generation, time.Time{}
	}
	s.parseRecord()
	s.succeed(results)
}
