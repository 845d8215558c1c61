// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// act does what an operator asks for in this turn, before the authority's life goes on by itself. What an action changes
// is committed with everything else that follows from it, or nothing is.
func (s *step) act() {
	if s.snap.Action == nil {
		return
	}
	params := &juju.Config{Values: s.snap.Action.Params}
	act, known := map[string]func(*juju.Config){
		"get-csr": s.actGetCSR, "upload-signed-csr": s.actUpload, "rotate-ca": s.actRotate, "get-root-ca": s.actRoot,
		"revoke": s.actRevoke, "import-ca": s.actImport,
		"backup": s.actBackup, "restore": s.actRestore, "list-backups": s.actListBackups, "delete-backup": s.actDeleteBackup,
	}[s.snap.Action.Name]
	switch {
	case !known:
		return
	case s.damaged && !slices.Contains([]string{"restore", "list-backups", "delete-backup"}, s.snap.Action.Name):
		s.fail("the record of the CA is unreadable: restore it from a backup first")
		return
	case !s.snap.Leader && !slices.Contains([]string{"get-root-ca", "list-backups", "delete-backup"}, s.snap.Action.Name):
		s.fail("only the leader does this: juju run %s/leader %s", s.snap.Application(), s.snap.Action.Name)
		return
	}
	act(params)
	if len(params.Errors) > 0 {
		s.fail("%s: %s", strings.Replace(params.Errors[0].Error(), "config ", "parameter ", 1), "see juju actions "+s.snap.Application())
	}
}

func (s *step) fail(format string, args ...any) {
	s.decision.Result = &juju.Result{Failure: fmt.Sprintf(format, args...)}
}

func (s *step) succeed(results map[string]string) { s.decision.Result = &juju.Result{Results: results} }

// await fails an action whose order failed; true when the order is done.
func (s *step) await(wanted order.Order) (order.Answer, bool) {
	answer, done := s.obtain(wanted)
	if !done && answer.Failure != nil {
		s.fail("%s", answer.Failure.Message)
	}
	return answer, done
}

// actGetCSR gives the request of a CA that shall be certified by another: the one that waits, or a new one. The CA in
// service goes on.
func (s *step) actGetCSR(params *juju.Config) {
	subject := cert.Subject{
		CommonName: params.Text("common-name", ""), Unit: params.Text("organizational-unit", ""),
		Country: params.Text("country", ""), Province: params.Text("province", ""), Locality: params.Text("locality", ""),
	}
	if organization := params.Text("organization", ""); organization != "" {
		subject.Organizations = []string{organization}
	}
	waiting := s.record.Next
	if s.record.Current.Generation > 0 && s.record.Current.Certificate == "" {
		waiting = &s.record.Current
	}
	asked := subject.CommonName + subject.Unit + subject.Country + subject.Province + subject.Locality + strings.Join(subject.Organizations, "")
	force := params.Flag("force", false)
	switch {
	case waiting != nil && waiting.Certificate != "":
		s.fail("a rollover to CA %d is under way: let it end, or run rotate-ca step=abort", waiting.Generation)
		return
	case waiting != nil && asked == "" && !force:
		s.succeed(map[string]string{"output": waiting.Request})
		return
	case waiting != nil && !force:
		s.fail("a request waits to be signed: run get-csr without a subject for that one, or with force=true to replace it")
		return
	}
	if subject.CommonName == "" {
		subject.CommonName = s.caCommonName(s.generation())
	}
	if len(subject.Organizations) == 0 {
		subject.Organizations = s.settings.CAOrganizations
	}
	if s.record.Current.Generation == 0 || s.record.Current.Certificate == "" {
		made, done := s.make(s.generation(), subject)
		if done {
			s.record.Current, s.record.Last = made, 0
			s.succeed(map[string]string{"output": made.Request})
		} else {
			s.failMaking()
		}
		return
	}
	if s.beginRollover(subject) {
		s.succeed(map[string]string{"output": s.record.Next.Request})
	} else {
		s.failMaking()
	}
}

// generation is the number of the next CA.
func (s *step) generation() int {
	next := max(s.record.Last, s.record.Current.Generation) + 1
	for _, old := range s.record.Retiring {
		next = max(next, old.Generation+1)
	}
	return next
}

// freeGeneration is one that no CA of this application ever had, on record or not: its secret must not be another CA's.
func (s *step) freeGeneration() int {
	next := s.generation()
	for _, secret := range s.snap.Secrets {
		var taken int
		if _, err := fmt.Sscanf(secret.Label, authorityLabel(0)[:len("ca-")]+"%d", &taken); err == nil {
			next = max(next, taken+1)
		}
	}
	return next
}

// unused reports whether nothing was ever issued here, so that another CA may take the place of this one at once. What a
// unit is shown may be less than there is.
func (s *step) unused() bool {
	for key := range s.peers.OwnApp {
		if strings.HasPrefix(key, SealedPrefix) {
			return false
		}
	}
	return !s.record.Used && !s.hasIssuedBefore() && len(s.published(anything)) == 0
}

// failMaking says why a CA was not made, once that is known.
func (s *step) failMaking() {
	for _, report := range s.decision.Reports {
		if report.Level == juju.Blocked {
			s.fail("%s", report.Message)
		}
	}
}

// actUpload takes up the certificate of a CA that another one signed.
func (s *step) actUpload(params *juju.Config) {
	var given []*x509.Certificate
	for _, name := range []string{"pem", "root-ca"} {
		text := params.Text(name, "")
		if text == "" {
			continue
		}
		if decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); err == nil {
			text = string(decoded)
		}
		parsed, err := cert.ParseCertificates(text)
		if err != nil {
			s.fail("parameter %s: %v: give PEM, or PEM in base64", name, err)
			return
		}
		given = append(given, parsed...)
	}
	if len(given) == 0 {
		s.fail("parameter pem is missing: give the signed certificate with those above it, in base64: pem=\"$(base64 -w0 signed.pem)\"")
		return
	}
	one, err := s.install(given)
	if err != nil {
		s.fail("cannot take up the certificate: %v", err)
		return
	}
	results := map[string]string{"generation": strconv.Itoa(one.Generation), "ca": one.Certificate}
	if top := one.public().Root(); !selfSigned(top) {
		results["note"] = "the root of its chain is not known yet: upload it as root-ca, or integrate receive-ca-cert with who has it"
	}
	s.succeed(results)
}

func selfSigned(text string) bool {
	parsed, err := cert.Parse(text)
	return err == nil && cert.SelfSigned(parsed)
}

func (s *step) actRoot(*juju.Config) {
	if s.current.slot == nil {
		s.fail("there is no CA yet: see the status of %s", s.snap.Application())
		return
	}
	s.succeed(map[string]string{"output": strings.Join(s.trusted(), "")})
}

// actRotate begins a rollover, or has it paused, go on, hurry or end.
func (s *step) actRotate(params *juju.Config) {
	step := params.Choice("step", "start", "pause", "resume", "advance", "abort", "plan")
	if s.current.slot == nil {
		s.fail("there is no CA in service to be replaced: see the status of %s", s.snap.Application())
		return
	}
	under := s.record.Next != nil || len(s.record.Retiring) > 0
	switch {
	case step == "start" && s.record.Next != nil:
		s.fail("a rollover to CA %d is under way: %s", s.record.Next.Generation, s.rolloverNote())
		return
	case step == "start":
		if !s.beginRollover(cert.Subject{}) {
			s.failMaking()
			return
		}
		s.record.Paused = false
	case step == "plan":
	case !under:
		s.fail("no rollover is under way: run rotate-ca to begin one")
		return
	case step == "advance":
		if !s.advance() {
			return
		}
	case step == "abort" && s.record.Next == nil && s.now.After(s.retiring[0].certificate.NotAfter):
		s.fail("CA %d, which would sign again, has expired: let the rollover end", s.retiring[0].Generation)
		return
	case step == "abort":
		s.goBack()
		s.record.Paused = false
	default:
		s.record.Paused = step == "pause"
	}
	s.succeed(map[string]string{"rollover": s.plan()})
}

// advance takes the next step without waiting for anybody.
func (s *step) advance() bool {
	switch {
	case s.record.Next != nil && s.record.Next.Certificate == "":
		s.fail("CA %d is not certified yet: run get-csr and upload-signed-csr", s.record.Next.Generation)
	case s.record.Next != nil && s.record.Since.IsZero():
		s.fail("CA %d is not published yet: wait for the next turn", s.record.Next.Generation)
	case s.record.Next != nil:
		s.moveOn()
		return true
	default:
		before := len(s.record.Retiring)
		if s.retire(true); len(s.record.Retiring) < before {
			return true
		}
		s.fail("certificates of CA %d are still published: wait until they are replaced, or raise renewals-per-hour", s.record.Retiring[0].Generation)
	}
	return false
}

// plan says what a rollover does from here on, or would do.
func (s *step) plan() string {
	if note := s.rolloverNote(); note != "" && (s.record.Next != nil || len(s.record.Retiring) > 0) {
		return note
	}
	changed := s.planned()
	what := "by the same options"
	if len(changed) > 0 {
		what = "with new " + strings.Join(changed, ", ")
	}
	return fmt.Sprintf("CA %d would be made %s, be published to be trusted for %s, and then sign; it begins by itself on %s",
		s.generation(), what, s.settings.TrustWait, s.rolloverAt().Format(time.DateOnly))
}

// actRevoke revokes certificates by serial number, name, unit or relation.
func (s *step) actRevoke(params *juju.Config) {
	reason, err := cert.ParseReason(params.Text("reason", ""))
	serial := strings.TrimLeft(strings.ToLower(strings.ReplaceAll(params.Text("serial", ""), ":", "")), "0")
	name, unit := params.Text("name", ""), params.Text("unit", "")
	relation := params.Count("relation", -1, -1, 1<<30)
	switch {
	case err != nil:
		s.fail("%v", err)
		return
	case s.current.slot == nil:
		s.fail("there is no CA yet")
		return
	case serial == "" && name == "" && unit == "" && relation < 0:
		s.fail("say what to revoke: serial=, name=, unit= or relation=")
		return
	case serial != "" && (len(serial) > 40 || strings.Trim(serial, "0123456789abcdef") != ""):
		s.fail("serial %q is not a hexadecimal number of at most 20 octets", params.Text("serial", ""))
		return
	}
	var lines []string
	for _, found := range s.published(func(r juju.Relation, held dialect.Held) bool {
		return (relation < 0 || r.ID == relation) &&
			(serial == "" || cert.SerialText(held.Leaf.SerialNumber) == serial) &&
			(name == "" || held.Leaf.Subject.CommonName == name || slices.Contains(cert.NamesOf(held.Leaf).List(), name)) &&
			(unit == "" || s.belongs(r, held, unit))
	}) {
		one := cert.SerialText(found.leaf.SerialNumber)
		line := fmt.Sprintf("%s %s", one, found.leaf.Subject)
		if params.Flag("dry-run", false) || s.revoke(found.generation, revocation(found.leaf, reason)) {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 && serial != "" && name == "" && unit == "" && relation < 0 && !params.Flag("dry-run", false) &&
		s.revokeUnknown(cert.Revocation{Serial: serial, Reason: reason}) {
		lines = append(lines, serial+" (not published any more)")
	}
	if len(lines) == 0 {
		s.fail("no certificate that is published and not revoked fits: see the certificates with juju show-unit")
		return
	}
	s.succeed(map[string]string{"revoked": strings.Join(lines, "\n"), "count": strconv.Itoa(len(lines))})
}

// revocation is what is noted of a certificate to be revoked.
func revocation(leaf *x509.Certificate, reason cert.Reason) cert.Revocation {
	one := cert.Revocation{Serial: cert.SerialText(leaf.SerialNumber), Reason: reason, Ends: leaf.NotAfter.UTC()}
	if reason == cert.KeyCompromise {
		one.Key, _ = cert.KeyHash(leaf.PublicKey) // what has no hash is nobody's key that could be asked for again
	}
	return one
}

// revokeUnknown revokes a serial number that is not published: replaced since, or issued by a leader that is gone. Whichever
// of the CAs it was, its certificate must not be trusted.
func (s *step) revokeUnknown(one cert.Revocation) bool {
	fresh := false
	for _, member := range s.members() {
		fresh = s.revoke(member.Generation, one) || fresh
	}
	return fresh
}

// issued is a certificate that is published, and whose it is.
type issued struct {
	generation int
	leaf       *x509.Certificate
}

// published gives the certificates of CAs on record that are published and wanted, without doubles.
func (s *step) published(wanted func(juju.Relation, dialect.Held) bool) []issued {
	var all []issued
	for _, relation := range s.snap.On(juju.Provides, dialect.Interface) {
		for _, held := range dialect.Inventory(s.shelf.restore(relation)) {
			by, _, ours := s.issuerOf(held.Leaf)
			doubled := slices.ContainsFunc(all, func(i issued) bool { return i.leaf.Equal(held.Leaf) })
			if ours && !doubled && wanted(relation, held) {
				all = append(all, issued{by.Generation, held.Leaf})
			}
		}
	}
	return all
}

// belongs reports whether a certificate answers a unit, by Juju's name or the one that it goes by in its own model.
func (s *step) belongs(relation juju.Relation, held dialect.Held, unit string) bool {
	if held.Dialect == dialect.Legacy {
		return held.Unit == dialect.Munge(unit)
	}
	for _, ask := range dialect.Read(relation).Asks {
		if ask.Unit == unit && ask.Dialect == dialect.CSR {
			current := current(dialect.NewIndex(relation), ask)
			if leaf, err := cert.Parse(current.Certificate); err == nil && leaf.Equal(held.Leaf) {
				return true
			}
		}
	}
	return false
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
	fresh := s.unused()
	results := map[string]string{
		"subject": certificate.Subject.String(), "expires": certificate.NotAfter.UTC().Format(time.RFC3339), "source": found.Source,
		"issued": strconv.Itoa(len(found.Issued)), "revoked": strconv.Itoa(len(found.Revoked)),
		"effect": "it takes the place of a CA that has issued nothing",
	}
	if !fresh {
		results["effect"] = "a rollover to it begins: it is published to be trusted first"
	}
	usable := s.checkForeign(found)
	switch {
	case usable != nil:
		s.fail("cannot import the CA: %v", usable)
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

func anything(juju.Relation, dialect.Held) bool { return true }
