// SPDX-License-Identifier: AGPL-3.0-only

package requirer

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// install lays the accepted certificates on disk, all files at once. What stands there for a certificate that is not
// offered now stays beside the others.
func (s *step) install(items []item, relation juju.Relation) {
	var missing []string
	var files []order.File
	var trust []string
	standing := strings.Fields(s.snap.Local["files."+certificatesBundle])
	for _, i := range items {
		if i.best != nil {
			files = append(files, certificateFiles(i)...)
			trust = append(trust, i.best.offer.Trust...)
			continue
		}
		missing = append(missing, i.name)
		for _, name := range []string{i.name + ".crt", i.name + ".key"} {
			if slices.Contains(standing, name) {
				files = append(files, order.File{Name: name, Keep: true})
			}
		}
	}
	if len(missing) > 0 {
		s.report(juju.Waiting, "waiting for the %s certificate from %s", strings.Join(missing, " and "), relation.RemoteApp)
	}
	if len(missing) == len(items) {
		return
	}
	files = append(files, order.File{Name: "ca.crt", Text: strings.Join(unique(trust), "")})
	s.place(order.Install{Name: certificatesBundle, Dir: s.settings.Dir, Files: files})
	if len(missing) == 0 {
		s.report(juju.Active, "certificates installed, valid until %s", s.firstEnd(items))
	}
}

func certificateFiles(i item) []order.File {
	chain := []string{i.best.offer.Issued.Certificate}
	for _, issuer := range i.best.offer.Issued.Issuers {
		if !slices.Contains(i.best.offer.Trust, issuer) { // who verifies has the trusted ones already
			chain = append(chain, issuer)
		}
	}
	key := order.File{Name: i.name + ".key"}
	if i.best.offer.Dialect == dialect.CSR {
		key.KeyName = i.name
	} else {
		key.Key = i.best.offer.Issued.Key
	}
	return []order.File{{Name: i.name + ".crt", Text: strings.Join(chain, "")}, key}
}

func (s *step) firstEnd(items []item) string {
	first := items[0].best.leaf.NotAfter
	for _, i := range items {
		if i.best.leaf.NotAfter.Before(first) {
			first = i.best.leaf.NotAfter
		}
	}
	return first.Format("2006-01-02")
}

// receive lays the CA certificates of certificate_transfer on disk, a file each, and removes them with their relation.
func (s *step) receive() {
	var received []string
	unclear := false
	for _, relation := range s.snap.At(TransferEndpoint) {
		if relation.Broken {
			continue
		}
		certificates, denials := dialect.ReadTransfer(relation)
		received = append(received, certificates...)
		for _, denial := range denials {
			s.report(juju.Waiting, "%s sends an unusable CA certificate: %s", relation.RemoteApp, denial)
			unclear = true
		}
		if s.snap.Leader {
			s.decision.Bags[relation.ID] = juju.OwnBags{App: dialect.TransferVersion(relation)}
		}
	}
	var files []order.File
	for _, text := range unique(received) {
		sum := sha256.Sum256([]byte(text))
		files = append(files, order.File{Name: "ca-" + hex.EncodeToString(sum[:8]) + ".crt", Text: text})
	}
	if unclear { // somebody is not understood now, who may have sent what stands there
		for _, name := range strings.Fields(s.snap.Local["files."+receivedBundle]) {
			if !slices.ContainsFunc(files, func(f order.File) bool { return f.Name == name }) {
				files = append(files, order.File{Name: name, Keep: true})
			}
		}
	}
	if len(files) > 0 || s.snap.Local["bundle."+receivedBundle] != "" {
		s.place(order.Install{Name: receivedBundle, Files: files})
	}
}

// place orders a bundle unless just that stands on disk.
func (s *step) place(wanted order.Install) {
	if s.snap.Local["bundle."+wanted.Name] == string(wanted.ID()) {
		return
	}
	answer, answered := s.answers[wanted.ID()]
	if !answered {
		s.decision.Orders = append(s.decision.Orders, wanted)
	} else if answer.Failure != nil {
		s.report(juju.Blocked, "cannot install %s: %s", wanted.Name, answer.Failure.Message)
		s.wake(s.now.Add(retry))
	}
}

func unique(texts []string) []string {
	texts = slices.Clone(texts)
	slices.Sort(texts)
	return slices.Compact(texts)
}
