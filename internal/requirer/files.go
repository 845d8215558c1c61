// SPDX-License-Identifier: AGPL-3.0-only

package requirer

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// install lays the accepted certificates on disk, all files at once, and then does what the machine needs to use them.
// What stands there for a certificate that is not offered now stays beside the others.
func (s *step) install(items []item, relation juju.Relation) {
	var missing, absent []string
	var files []order.File
	kept := false
	for _, i := range items {
		if i.best == nil {
			missing = append(missing, i.name)
		}
		if !s.keepsStanding(i) {
			files = append(files, certificateFiles(i)...)
			continue
		}
		standing, whole := s.standingFiles(i)
		files = append(files, standing...)
		if kept = kept || whole; !whole {
			absent = append(absent, i.name)
		}
	}
	if len(missing) > 0 {
		s.report(juju.Waiting, "waiting for the %s certificate from %s", strings.Join(missing, " and "), relation.RemoteApp)
		s.reportOver(missing)
	}
	if len(missing) == len(items) && !kept {
		return
	}
	trust := s.caText(items, kept)
	if trust == "" {
		s.report(juju.Blocked, "the file ca.crt is lost, and %s does not say whom to trust", relation.RemoteApp)
		return
	}
	files = append(files, order.File{Name: "ca.crt", Text: trust})
	files = append(files, s.kubernetesFiles(items, files)...)
	sums, placed := s.place(s.bundle(files))
	if !placed {
		return
	}
	s.acknowledge(trust)
	if len(missing) == 0 {
		s.report(juju.Active, "certificates installed, valid until %s", s.firstEnd(items))
		s.reportGroups(items)
	}
	s.link(sums)
	s.merge(sums)
	s.reload(sums, len(absent) == 0)
}

// acknowledge tells the providers whom this unit now trusts, so that one that replaces its CA knows when to go on.
func (s *step) acknowledge(trust string) {
	for _, bags := range s.decision.Bags {
		if bags.Unit != nil {
			dialect.Acknowledge(bags.Unit, []string{trust})
		}
	}
}

// keepsStanding reports whether what stands on disk for a certificate stays, if anything does.
func (s *step) keepsStanding(i item) bool { return i.best == nil || i.rekeyed || s.preferStanding(i) }

// keeps reports whether certificates stay on disk whose CA nobody may offer any more.
func (s *step) keeps(relations []juju.Relation, items []item) bool {
	return len(relations) > 0 && (len(items) == 0 || slices.ContainsFunc(items, func(i item) bool {
		return s.keepsStanding(i) && s.stands(i.name+".crt")
	}))
}

// standingFiles keeps what stands of a pair, and tells whether that is all of it. A key that is lost is this unit's own
// copy again where the certificate is for that.
func (s *step) standingFiles(i item) (files []order.File, whole bool) {
	certificate, key := i.name+".crt", i.name+".key"
	if s.stands(certificate) {
		files = append(files, order.File{Name: certificate, Keep: true})
	}
	chain := s.standing(certificate)
	switch {
	case s.stands(key):
		files = append(files, order.File{Name: key, Keep: true})
	case len(chain) > 0 && i.want.Request != "" && sameKey(i.want.Request, chain[0]):
		files = append(files, order.File{Name: key, KeyName: i.name})
	}
	return files, len(files) == 2
}

func (s *step) bundle(files []order.File) order.Install {
	return order.Install{
		Name: certificatesBundle, Dir: s.settings.Dir, Files: files,
		Owner: s.settings.Owner, Group: s.settings.Group, KeyMode: s.settings.KeyMode,
	}
}

// stands reports whether a file of the certificates bundle is on disk, undamaged.
func (s *step) stands(file string) bool {
	return s.snap.Local["sum."+certificatesBundle+"."+file] != ""
}

// standing gives a certificate of the bundle that is on disk, with those that follow it.
func (s *step) standing(file string) []*x509.Certificate {
	found, _ := cert.ParseCertificates(s.snap.Local["text."+certificatesBundle+"."+file])
	return found
}

// installed reports whether the best answer is what stands on disk, with its key.
func (s *step) installed(i item) bool {
	chain := s.standing(i.name + ".crt")
	return len(chain) > 0 && chain[0].Equal(i.best.leaf) && s.stands(i.name+".key")
}

// preferStanding reports whether what is on disk serves better than a legacy answer: a certificate under this unit's
// own key, whose successor is asked for. Otherwise each renewal would take up the other provider's key for a moment.
func (s *step) preferStanding(i item) bool {
	chain := s.standing(i.name + ".crt")
	if i.ownKey() || len(chain) == 0 || s.snap.Local["own."+certificatesBundle+"."+i.name+".key"] == "" {
		return false
	}
	offer := dialect.Offer{Trust: s.provided, Issued: cert.Issued{Certificate: cert.EncodeCertificates(chain[0])}}
	for _, issuer := range chain[1:] {
		offer.Issued.Issuers = append(offer.Issued.Issuers, cert.EncodeCertificates(issuer))
	}
	_, err := s.check(offer, i)
	if err == nil {
		s.wake(chain[0].NotAfter.Add(time.Second))
	}
	return err == nil
}

// reportOver says which of the certificates that nobody answers are over on disk.
func (s *step) reportOver(names []string) {
	for _, name := range names {
		chain := s.standing(name + ".crt")
		if len(chain) == 0 {
			continue
		}
		if end := chain[0].NotAfter; s.now.After(end) {
			s.report(juju.Blocked, "the installed %s certificate expired at %s and nobody renews it", name, end.UTC().Format(time.DateTime))
		} else {
			s.wake(end.Add(time.Second))
		}
	}
}

// reportGroups says where a client certificate came without the groups that were asked for: the legacy dialect cannot
// ask for them, and some providers drop them.
func (s *step) reportGroups(items []item) {
	for _, i := range items {
		for _, organization := range i.organizations {
			if i.best != nil && !slices.Contains(i.best.leaf.Subject.Organization, organization) {
				s.report(juju.Active, "the %s certificate came without the group %s", i.name, organization)
			}
		}
	}
}

func certificateFiles(i item) []order.File {
	chain := []string{i.best.offer.Issued.Certificate}
	for _, issuer := range i.best.offer.Issued.Issuers {
		if parsed, err := cert.Parse(issuer); err != nil || !cert.SelfSigned(parsed) { // who verifies has the root already
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

// caText is the CA certificates to trust: first those that the certificates here verify with, because some programs read
// one only, then all others of the providers in an order that does not depend on them. While a certificate of an
// earlier provider is kept, so is its CA.
func (s *step) caText(items []item, kept bool) string {
	var first []string
	for _, i := range items {
		if i.best != nil {
			first = append(first, i.best.offer.Trust...)
		}
	}
	rest := slices.Clone(s.provided)
	if kept {
		rest = append(rest, s.current(s.standing("ca.crt"))...)
	}
	if len(first)+len(rest) == 0 { // the file is lost while the provider is silent
		standing, _ := cert.ParseCertificates(s.snap.Local["text.trust"])
		rest = s.current(standing)
	}
	slices.Sort(rest)
	return strings.Join(unique(append(first, rest...)), "")
}

// current gives those of the certificates that are not over, and wakes when one is.
func (s *step) current(certificates []*x509.Certificate) []string {
	var texts []string
	for _, c := range certificates {
		if !s.now.After(c.NotAfter) {
			texts = append(texts, cert.EncodeCertificates(c))
			s.wake(c.NotAfter.Add(time.Second))
		}
	}
	return texts
}

// kubernetesFiles are the kubeconfigs, one for each client certificate once the API server's URL is known, and kubelet's
// settings.
func (s *step) kubernetesFiles(items []item, files []order.File) []order.File {
	var found []order.File
	has := func(name string) bool {
		return slices.ContainsFunc(files, func(f order.File) bool { return f.Name == name+".crt" })
	}
	for _, i := range items {
		if i.want.Kind != cert.Client || s.cluster.Server == "" || !has(i.name) {
			continue
		}
		name := kubeconfigName
		if i.name != "client" {
			name = i.name + "." + kubeconfigName
		}
		config := s.kubeconfig(i)
		found = append(found, order.File{Name: name, Kubeconfig: &config})
	}
	if s.settings.Profile != Etcd && has("server") {
		found = append(found, order.File{
			Name: kubeletName, Kubelet: &order.Kubelet{Certificate: "server.crt", Key: "server.key", ClientCA: "ca.crt"},
		})
	}
	return found
}

// kubeconfig is named as kubeadm names its entries, by the model in place of the cluster.
func (s *step) kubeconfig(i item) order.Kubeconfig {
	cluster := "juju-" + s.snap.ModelName
	return order.Kubeconfig{
		Cluster: cluster, User: i.want.CommonName, Context: i.want.CommonName + "@" + cluster, Server: s.cluster.Server,
		CA: "ca.crt", Certificate: i.name + ".crt", Key: i.name + ".key", Embed: s.settings.Embed,
	}
}

func (s *step) firstEnd(items []item) string {
	var first time.Time
	for _, i := range items {
		if i.best != nil {
			first = juju.Earliest(first, i.best.leaf.NotAfter)
		}
	}
	return first.Format(time.DateOnly)
}

// receive lays the CA certificates of certificate_transfer on disk, a file each, and removes them with their relation.
func (s *step) receive() {
	unclear := false
	for _, relation := range s.snap.On(juju.Requires, dialect.TransferInterface) {
		if relation.Broken {
			continue
		}
		certificates, denials := dialect.ReadTransfer(relation)
		s.received = append(s.received, s.bounded(relation, certificates)...)
		for _, denial := range denials {
			s.report(juju.Waiting, "%s sends an unusable CA certificate: %s", relation.RemoteApp, denial)
			unclear = true
		}
		if s.snap.Leader {
			s.decision.Bags[relation.ID] = juju.OwnBags{App: dialect.TransferVersion(relation)}
		}
	}
	s.unclear = s.unclear || unclear
	var files []order.File
	for _, text := range unique(s.received) {
		sum := sha256.Sum256([]byte(text))
		files = append(files, order.File{Name: "ca-" + hex.EncodeToString(sum[:8]) + ".crt", Text: text})
	}
	standing := strings.Fields(s.snap.Local["files."+receivedBundle])
	if unclear { // somebody is not understood now, who may have sent what stands there
		for _, name := range standing {
			if !slices.ContainsFunc(files, func(f order.File) bool { return f.Name == name }) {
				files = append(files, order.File{Name: name, Keep: true})
			}
		}
	}
	if len(files) > 0 || len(standing) > 0 {
		s.place(order.Install{Name: receivedBundle, Files: files})
	}
}

// place orders a bundle unless just that stands on disk. It gives the sums of its files once it does.
func (s *step) place(wanted order.Install) (order.Sums, bool) {
	if s.snap.Local["bundle."+wanted.Name] == string(wanted.ID()) {
		sums := order.Sums{}
		for _, file := range wanted.Files {
			sums[file.Name] = s.snap.Local["sum."+wanted.Name+"."+file.Name]
		}
		return sums, true
	}
	answer, done := s.carried(wanted, "install "+wanted.Name)
	return answer.Sums, done
}

// carried orders what only touches the disk, and gives the answer once it is done. A failure is reported, and the order
// given again in the next turn.
func (s *step) carried(wanted order.Order, what string) (order.Answer, bool) {
	answer, answered := s.answers[wanted.ID()]
	switch {
	case !answered:
		s.decision.Orders = append(s.decision.Orders, wanted)
	case answer.Failure != nil:
		s.report(juju.Blocked, "cannot %s: %s", what, answer.Failure.Message)
		s.wake(s.now.Add(retry))
	}
	return answer, answered && answer.State == order.Done
}

func unique(texts []string) []string {
	seen := map[string]bool{}
	var kept []string
	for _, text := range texts {
		if !seen[text] {
			seen[text] = true
			kept = append(kept, text)
		}
	}
	return kept
}
