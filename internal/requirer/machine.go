// SPDX-License-Identifier: AGPL-3.0-only

package requirer

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// link has links lead from where programs look to the files that are there.
func (s *step) link(sums order.Sums) {
	wanted := order.Link{Bundle: certificatesBundle, Dir: s.settings.Dir, Overwrite: s.settings.Overwrite}
	for _, link := range s.settings.Links {
		if sums[link.File] != "" {
			wanted.Links = append(wanted.Links, link)
		}
	}
	if standing := s.snap.Local["links"]; standing != string(wanted.ID()) && (standing != "" || len(wanted.Links) > 0) {
		s.carried(wanted, "make all links")
	}
}

// merge has the main kubeconfig's entries in the operator's own.
func (s *step) merge(sums order.Sums) {
	wanted := order.Merge{Path: s.settings.Merge}
	if sums[kubeconfigName] == "" && wanted.Path != "" {
		if s.cluster.Server == "" {
			s.report(juju.Waiting, "waiting for the API server's URL to merge a kubeconfig: relate kube-control, or set the option kubernetes-server")
		}
		return
	}
	if wanted.Path != "" {
		client, err := s.client()
		if err != nil {
			return
		}
		wanted.Bundle, wanted.Dir, wanted.Overwrite = certificatesBundle, s.settings.Dir, s.settings.Overwrite
		if wanted.Kubeconfig = s.kubeconfig(client); wanted.Kubeconfig.Embed {
			wanted.Sums = order.Sums{}
			for _, file := range []string{wanted.Kubeconfig.CA, wanted.Kubeconfig.Certificate, wanted.Kubeconfig.Key} {
				wanted.Sums[file] = sums[file]
			}
		}
	}
	if standing := s.snap.Local["merge"]; standing != string(wanted.ID()) && (standing != "" || wanted.Path != "") {
		s.carried(wanted, "merge a kubeconfig")
	}
}

// reload has services take up the files that matter to them, in the operator's order, once for each change. One that
// never did waits until all certificates are there: it would be started for nothing.
func (s *step) reload(sums order.Sums, complete bool) {
	for _, reload := range s.settings.Reloads {
		if !complete && s.snap.Local["ran.reload."+reload.Service] == "" {
			continue
		}
		wanted := order.Reload{Service: reload.Service, Verb: reload.Verb, Files: order.Sums{}}
		for file, sum := range sums {
			if len(reload.Files) == 0 || slices.Contains(reload.Files, file) {
				wanted.Files[file] = sum
			}
		}
		s.run(wanted, "reload."+reload.Service)
	}
}

// maxTrusted bounds how many CAs one relation can have trusted.
const maxTrusted = 100

// bounded gives no more CA certificates of a relation than can be trusted.
func (s *step) bounded(relation juju.Relation, certificates []string) []string {
	if len(certificates) <= maxTrusted {
		return certificates
	}
	s.report(juju.Waiting, "%s says to trust %d CAs: only %d of them are", relation.RemoteApp, len(certificates), maxTrusted)
	return certificates[:maxTrusted]
}

// trustProvider notes whom a provider says to trust.
func (s *step) trustProvider(relation juju.Relation) {
	certificates := dialect.Trusted(relation)
	s.unclear = s.unclear || len(certificates) == 0
	for _, text := range s.bounded(relation, certificates) {
		if parsed, err := cert.ParseCertificates(text); err == nil {
			s.provided = append(s.provided, s.current(parsed)...)
		}
	}
}

// trustMachine has the whole machine trust the CAs that providers and others say to trust: those that they say now, those
// of certificates that are kept and, while somebody is silent, those that stand.
func (s *step) trustMachine(kept bool) {
	wanted := order.Trust{Unit: s.snap.Unit}
	if s.settings.TrustStore {
		wanted.Certificates = slices.Clone(s.provided)
		for _, text := range s.received {
			if c, err := cert.Parse(text); err == nil && c.BasicConstraintsValid && c.IsCA { // version 1 may bring others
				wanted.Certificates = append(wanted.Certificates, text)
			}
		}
		if kept {
			wanted.Certificates = append(wanted.Certificates, s.current(s.standing("ca.crt"))...)
		}
		if standing, err := cert.ParseCertificates(s.snap.Local["text.trust"]); err == nil && s.unclear {
			wanted.Certificates = append(wanted.Certificates, s.current(standing)...)
		}
		slices.Sort(wanted.Certificates)
		wanted.Certificates = slices.Compact(wanted.Certificates)
	}
	standing := s.snap.Local["trust"]
	if standing == "" && len(wanted.Certificates) == 0 {
		return
	}
	laid := s.snap.Local["trust.laid"]
	if standing != string(wanted.ID()) {
		answer, done := s.carried(wanted, "lay CA certificates in the trust store")
		if !done {
			return
		}
		laid = answer.Laid
	}
	s.run(order.RefreshTrust{For: wanted.ID(), Laid: laid}, "refresh-trust")
}

// attempt is what the unit state notes of a program that failed.
type attempt struct {
	Order   order.ID  `json:"order"`
	At      time.Time `json:"at"`
	Times   int       `json:"times"`
	Message string    `json:"message"`
}

// again is when to run a program anew that has failed.
func (a attempt) again() time.Time { return a.At.Add(doubled(time.Minute, time.Hour, a.Times-1)) }

// doubled is a pause that doubles with each time, from the first to the longest.
func doubled(first, longest time.Duration, times int) time.Duration {
	return min(first<<min(max(times, 0), 16), longest)
}

// failedPrefix is before the names of unit state that note attempts.
const failedPrefix = "failed."

// forget drops the notes on services that are not to be reloaded any more.
func (s *step) forget() {
	for key := range s.snap.State {
		service, isReload := strings.CutPrefix(key, failedPrefix+"reload.")
		if isReload && !slices.ContainsFunc(s.settings.Reloads, func(r Reload) bool { return r.Service == service }) {
			s.decision.State[key] = ""
		}
	}
}

// run has one of the machine's programs run for an order, once. One that fails is run again after a pause; the files
// stay as they are, and the status says what failed until it does not.
func (s *step) run(wanted order.Order, what string) {
	key := failedPrefix + what
	if s.snap.Local["ran."+what] == string(wanted.ID()) {
		s.decision.State[key] = ""
		return
	}
	var last attempt
	if json.Unmarshal([]byte(s.snap.State[key]), &last) != nil || last.Order != wanted.ID() || last.At.After(s.now) {
		last = attempt{Order: wanted.ID()}
	}
	answer, answered := s.answers[wanted.ID()]
	switch {
	case answered && answer.State == order.Pending:
		s.wake(s.now.Add(retry))
	case answered && answer.Failure == nil:
		s.decision.State[key] = ""
	case answered:
		last = attempt{Order: wanted.ID(), At: s.now.UTC().Truncate(time.Second), Times: last.Times + 1, Message: answer.Failure.Message}
		text, err := json.Marshal(last)
		if err == nil {
			s.decision.State[key] = string(text)
		}
		s.failing(last)
	case last.Times > 0 && s.now.Before(last.again()):
		s.failing(last)
	default:
		s.decision.Orders = append(s.decision.Orders, wanted)
	}
}

func (s *step) failing(last attempt) {
	s.report(juju.Blocked, "%s (attempt %d)", last.Message, last.Times)
	s.wake(last.again())
}
