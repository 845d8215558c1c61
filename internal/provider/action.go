// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
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
	act, known := s.actions()[s.snap.Action.Name]
	switch {
	case !known:
		return
	case s.damaged && !slices.Contains([]string{"restore", "list-backups", "delete-backup", "status"}, s.snap.Action.Name):
		s.fail("the record of the CA is unreadable: restore it from a backup first")
		return
	case !s.snap.Leader && !slices.Contains(anywhere(), s.snap.Action.Name):
		s.fail("only the leader does this: juju run %s/leader %s", s.snap.Application(), s.snap.Action.Name)
		return
	}
	damaged := s.damaged
	act(params)
	trial := params.Flag("dry-run", false)
	if len(params.Errors) > 0 {
		s.decision.Orders, s.late = nil, nil
		s.fail("parameter %s: %s: see juju actions %s", params.Errors[0].Option, params.Errors[0].Reason, s.snap.Application())
	}
	if result := s.decision.Result; s.late == nil && (result == nil || result.Failure != "") {
		s.damaged = damaged
		s.takeBack()
		return
	}
	if trial && s.late == nil {
		s.undone = true
		s.decision.Result.Results["result"] = dryRun
	}
}

// dryRun is what an action says that was only tried.
const dryRun = "dry run: nothing was changed"

// actions are all that an operator can ask for, with the names that the peers' charms have for them.
func (s *step) actions() map[string]func(*juju.Config) {
	return map[string]func(*juju.Config){
		"get-csr": s.actGetCSR, "upload-signed-csr": s.actUpload, "rotate-ca": s.actRotate, "get-root-ca": s.actRoot,
		"rotate-private-key": s.actNewCA, "generate-root-ca": s.actNewCA, "get-ca-certificate": s.actCACertificate,
		"revoke": s.actRevoke, "renew": s.actRenew, "reissue-certificates": s.actReissue, "import-ca": s.actImport, "checkpoint": s.actCheckpoint,
		"backup": s.actBackup, "restore": s.actRestore, "list-backups": s.actListBackups, "delete-backup": s.actDeleteBackup,
		"provide-certificate": s.actProvide, "get-outstanding-certificate-requests": s.actOutstanding,
		"status": s.actStatus, "list-certificates": s.actCertificates, "expiring": s.actExpiring, "get-issued-certificates": s.actIssued,
		"list-requests": s.actRequests, "explain": s.actExplain, "policy-check": s.actCheck,
	}
}

// anywhere are the actions that any unit does.
func anywhere() []string {
	return []string{"get-root-ca", "get-ca-certificate", "list-backups", "delete-backup", "status", "policy-check"}
}

// takeBack forgets what an action changed that has failed, or that waits for an answer: it is done as a whole or not at all.
func (s *step) takeBack() {
	s.record, s.keys, s.decision.Entries = record{}, map[int]cert.Key{}, nil
	s.decision.Secrets = slices.DeleteFunc(s.decision.Secrets, func(secret juju.Secret) bool {
		return secret.Label != unwrappedLabel // which Vault gives once, whatever becomes of the action
	})
	delete(s.decision.Bags, s.peers.ID)
	if written := s.peers.OwnApp[authorityKey]; written != "" && !s.damaged {
		s.readRecord(written)
	} else {
		s.parseRecord()
	}
	s.readRevoked()
	s.readWishes()
}

func (s *step) fail(format string, args ...any) {
	s.decision.Result = &juju.Result{Failure: fmt.Sprintf(format, args...)}
}

// did tells of a step of an action that takes several.
func (s *step) did(format string, args ...any) {
	s.steps = append(s.steps, fmt.Sprintf(format, args...))
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
	if s.settings.Hand {
		s.fail("authority=manual: an operator signs with a CA that is made elsewhere: run provide-certificate with its ca-certificate")
		return
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
	if params.Flag("dry-run", false) {
		s.succeed(map[string]string{"subject": subject.CommonName, "generation": strconv.Itoa(s.generation())})
		return
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
		if _, err := fmt.Sscanf(secret.Label, authorityLabelPrefix+"%d", &taken); err == nil {
			next = max(next, taken+1)
		}
	}
	return next
}

// unused reports whether nothing was ever issued here, so that another CA may take the place of this one at once. What a
// unit is shown may be less than there is.
func (s *step) unused() bool {
	for key := range s.peers.OwnApp {
		if strings.HasPrefix(key, SealedPrefix) && !strings.HasPrefix(key, heldPrefix) {
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
	one, err := s.install(given, params.Flag("dry-run", false))
	if err != nil {
		s.fail("cannot take up the certificate: %v", err)
		return
	}
	if one == nil {
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
