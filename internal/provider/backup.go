// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// kept reports whether a key of the peer application bag belongs into a backup: what tells of the CAs and of what is
// revoked. What answers requests stands in relations, and is found there.
func kept(key string) bool {
	return key == authorityKey || strings.HasPrefix(key, revokedPrefix) || strings.HasPrefix(key, crlPrefix)
}

// actBackup writes an encrypted backup of the authority.
func (s *step) actBackup(params *juju.Config) {
	recipients := strings.Fields(params.Text("recipients", strings.Join(s.settings.BackupRecipients, " ")))
	passphrase := params.Text("passphrase-path", "")
	switch {
	case s.current.slot == nil && s.record.Current.Request == "":
		s.fail("there is no CA to back up yet")
		return
	case len(recipients) == 0 && passphrase == "":
		s.fail("a backup holds the CA's key and must be encrypted: give recipients=age1… (from age-keygen), set the option " +
			"backup-recipients, or give passphrase-path=FILE on this unit")
		return
	case passphrase != "":
		recipients = nil
	}
	if params.Flag("dry-run", false) {
		to := "a passphrase"
		if passphrase == "" {
			to = strings.Join(recipients, " ")
		}
		s.succeed(map[string]string{"authorities": strconv.Itoa(len(s.record.slots())), "encrypted-to": to})
		return
	}
	archive := order.Archive{
		Made: s.now.UTC().Truncate(time.Second), Application: s.snap.Application(), Model: s.snap.ModelName, ModelUUID: s.snap.ModelUUID,
		Record: map[string]string{}, Keys: map[int]cert.Key{},
	}
	for key, value := range s.peers.OwnApp {
		if kept(key) {
			archive.Record[key] = value
		}
	}
	for _, one := range s.record.slots() {
		if one.Vault != nil || one.Hand { // whose own backup has the key
			continue
		}
		key, ok := s.keyFor(*one)
		if !ok {
			return
		}
		archive.Keys[one.Generation] = key
	}
	answer, done := s.await(order.WriteArchive{Archive: archive, Recipients: recipients, PassphrasePath: passphrase})
	if !done || len(answer.Names) == 0 {
		return
	}
	file := answer.Names[0]
	s.did("%s gathered, encrypted, and opened again", count(len(archive.Keys), "key"))
	s.succeed(map[string]string{
		"path": file,
		// The user of juju scp cannot read it, and a terminal would write another end to each line.
		"command": fmt.Sprintf("juju ssh --pty=false %s sudo cat %s > %s", s.snap.Unit, file, path.Base(file)),
		"message": "the backup was opened again and holds what it should",
	})
}

// keyFor gives the key of a CA, from its secret or from this unit's disk.
func (s *step) keyFor(one slot) (cert.Key, bool) {
	if key := s.keys[one.Generation]; !key.IsZero() {
		return key, true
	}
	if secret, found := s.snap.Secret(authorityLabel(one.Generation)); found && secret.Content[keyMember] != "" {
		return cert.NewKey(secret.Content[keyMember]), true
	}
	if one.Certificate == "" {
		s.fail("the key of CA %d cannot be read: is the back end of secret %s reachable?", one.Generation, authorityLabel(one.Generation))
		return cert.Key{}, false
	}
	answer, done := s.await(order.FetchKey{Authority: one.public()})
	return answer.Key, done
}

// actRestore goes on as the authority of a backup. What was issued and revoked after it is not forgotten: relations still
// publish the one, and the record here has the other.
func (s *step) actRestore(params *juju.Config) {
	name := params.Text("name", "")
	if name == "" {
		s.fail("parameter name is missing: list-backups shows those of this unit; or name the absolute path of a file that juju scp brought")
		return
	}
	answer, done := s.await(order.ReadArchive{
		Name: name, IdentityPath: params.Text("identity-path", ""), PassphrasePath: params.Text("passphrase-path", ""),
	})
	if !done {
		return
	}
	archive := answer.Archive
	s.did("the backup of %s, made %s, is open", archive.Application, archive.Made.Format(time.RFC3339))
	var restored record
	if json.Unmarshal([]byte(archive.Record[authorityKey]), &restored) != nil || restored.Current.Generation == 0 {
		s.fail("the backup holds no readable record of a CA: take another one")
		return
	}
	takeUp, reason := s.supersedes(restored)
	if reason != "" {
		s.fail("%s", reason)
		return
	}
	results := map[string]string{
		"made": archive.Made.Format(time.RFC3339), "application": archive.Application, "model": archive.Model,
		"generation": strconv.Itoa(restored.Current.Generation),
	}
	if params.Flag("dry-run", false) {
		s.succeed(results)
		return
	}
	if takeUp {
		s.record = restored
	}
	if s.restore(archive) {
		s.damaged = false
		s.succeed(results)
	}
}

// supersedes reports whether the record of a backup takes the place of the one in force: where there is none, or that of
// a CA that has issued nothing. Where both are of the same CAs, the one in force is the later one and stays. The reason
// says why the backup is of no use here.
func (s *step) supersedes(restored record) (takeUp bool, reason string) {
	if s.damaged || s.record.Current.Generation == 0 {
		return true, ""
	}
	known := map[string]bool{}
	highest := restored.Last
	for _, one := range restored.slots() {
		known[one.Certificate], highest = true, max(highest, one.Generation)
	}
	for _, one := range s.record.slots() {
		switch {
		case one.Certificate == "" || known[one.Certificate]:
		case s.unused():
			return true, ""
		case one.Generation > highest:
			return false, fmt.Sprintf("the state here is newer: CA %d is on record, which the backup does not know: restore a later backup", one.Generation)
		default:
			return false, "another CA is in service here and has issued certificates: restore into an application that has " +
				"issued nothing, or bring the backup's CA in with import-ca"
		}
	}
	return false, ""
}

// restore takes up the keys of a backup, and what it knows to be issued and revoked.
func (s *step) restore(archive order.Archive) bool {
	entries := append(archive.Entries, s.entriesOf(s.record.Current.Generation, "found published at the restore", s.inventoryTexts())...)
	if len(entries) > 0 {
		if _, done := s.await(order.Remember{Entries: entries}); !done {
			return false
		}
		s.did("%d entries of what was issued and revoked are on record", len(entries))
	}
	for _, one := range s.record.slots() {
		for _, key := range archive.Keys {
			if one.fits(key) { // generations of two applications may have the same number
				s.keepKey(*one, key)
				s.did("CA %d has its key again", one.Generation)
			}
		}
	}
	bag := s.peerBag()
	for key, value := range archive.Record {
		var generation int
		if _, err := fmt.Sscanf(key, revokedPrefix+"%d", &generation); err == nil {
			var list []cert.Revocation
			if json.Unmarshal([]byte(value), &list) == nil {
				s.addRevoked(generation, list...)
			}
		} else if kept(key) && bag[key] == "" {
			bag[key] = value
		}
	}
	return s.parseRecord()
}

// inventoryTexts are all certificates that relations publish, whoever issued them.
func (s *step) inventoryTexts() []string {
	found := map[string]bool{}
	for _, relation := range s.snap.On(juju.Provides, dialect.Interface) {
		for _, held := range s.memory.of(relation.ID).Inventory(relation) {
			found[cert.EncodeCertificates(held.Leaf)] = true
		}
	}
	var texts []string
	for text := range maps.Keys(found) {
		texts = append(texts, text)
	}
	return texts
}

func (s *step) actListBackups(*juju.Config) {
	if answer, done := s.await(order.ListArchives{}); done {
		message := "there is no backup on this unit"
		if len(answer.Names) > 0 {
			message = strings.Join(answer.Names, "\n")
		}
		s.succeed(map[string]string{"message": message})
	}
}

func (s *step) actDeleteBackup(params *juju.Config) {
	name, all := params.Text("name", ""), params.Flag("all", false)
	if (name == "") == !all {
		s.fail("say which backup to delete: name=, or all=true")
		return
	}
	if params.Flag("dry-run", false) {
		if answer, done := s.await(order.ListArchives{}); done {
			found := slices.DeleteFunc(slices.Clone(answer.Names), func(one string) bool { return !all && one != name })
			if len(found) == 0 {
				s.fail("there is no such backup on this unit: run list-backups")
				return
			}
			s.succeed(map[string]string{"message": "would be deleted: " + strings.Join(found, " ")})
		}
		return
	}
	if answer, done := s.await(order.DeleteArchive{Name: name}); done {
		s.succeed(map[string]string{"message": "deleted: " + strings.Join(answer.Names, " ")})
	}
}
