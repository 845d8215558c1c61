// SPDX-License-Identifier: AGPL-3.0-only

// Package viewtest has views of units for tests of what is made of a view: one at rest, one with everything that can be the
// matter, one of a large model. The same time gives the same view. Where to look next: package view.
package viewtest

import (
	"fmt"
	"slices"
	"time"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/view"
)

const day = 24 * time.Hour

// Steady is a leader of Charmed Kubernetes with nothing the matter.
func Steady(now time.Time) view.View {
	now = now.UTC()
	shown := view.View{
		Source: view.FromAgent, At: now, Turn: now.Add(-42 * time.Second), Unit: "signet/0", Application: "signet", Model: "k8s-prod",
		ModelUUID: "9f1c6f0e-6f0c-4a8f-8a0f-1c2d3e4f5a6b", Version: "1.0.0", JujuVersion: "3.6.25", Leader: true, Signing: true,
		Status:     view.Condition{Level: juju.Active, Message: "21 certificates, next renewal in 3d, CA until 2036-11-20"},
		Conditions: []view.Condition{{Level: juju.Active, Message: "21 certificates, next renewal in 3d, CA until 2036-11-20"}},
		Wake:       now.Add(3 * day),
		Rollover:   view.Rollover{Phase: string(provider.Steady), Next: now.Add(7 * 365 * day)},
		Authorities: []view.Authority{{
			Generation: 1, Role: "signing", Subject: "CN=signet k8s-prod", Issuer: "CN=signet k8s-prod", Root: true, Serial: "7f3a", KeyType: "ecdsa-p256",
			NotBefore: now.Add(-400 * day), NotAfter: now.Add(9 * 365 * day), SHA256: fmt.Sprintf("%064x", 11), Issued: 21,
			CRL:     &view.CRL{Number: "12", ThisUpdate: now.Add(-day), NextUpdate: now.Add(6 * day), Entries: 1, Signed: true},
			CRLURLs: []string{"http://10.0.0.2:8880/crl/1.crl"},
		}},
		Record: view.Record{
			Entries: 231, First: now.Add(-400 * day), Last: now.Add(-42 * time.Second), Events: map[string]int{"issued": 104, "revoked": 1, "denied": 7},
			Refusals: map[string]int{"identity-not-allowed": 3, "name-not-allowed": 4}, Checkpoint: now.Add(-5 * time.Hour), LegacyKeys: 16,
			Uncovered: 2, Backup: now.Add(-3 * day),
		},
	}
	for i, app := range []struct {
		name  string
		units int
		csr   bool
	}{{"etcd", 3, false}, {"kubernetes-control-plane", 3, false}, {"kubernetes-worker", 8, false}, {"kubeapi-load-balancer", 2, false}, {"web", 5, true}} {
		for unit := range app.units {
			left := time.Duration(40+37*((i*7+unit*11)%9)) * day
			shown.Certificates = append(shown.Certificates, server(now, app.name, unit, 3+i, left, app.csr))
		}
	}
	own := server(now, "signet", 0, 1, 200*day, true)
	own.Role, own.Application, own.Unit, own.Path = view.Own, "vault", "signet/0", "/var/lib/signet/signet-0/files/certificates/server.crt"
	shown.Certificates = append(shown.Certificates, own)
	plan(&shown)
	return shown
}

// server is the certificate of one unit, of a life of a year.
func server(now time.Time, app string, unit, relation int, left time.Duration, csr bool) view.Certificate {
	name := fmt.Sprintf("%s-%d.k8s-prod.internal", app, unit)
	one := view.Certificate{
		Role: view.Issued, State: view.Valid, Relation: fmt.Sprintf("certificates:%d", relation), Endpoint: "certificates", Application: app,
		Unit: fmt.Sprintf("%s/%d", app, unit), Kind: "server", Dialect: "legacy", CommonName: name,
		Names:  []string{name, fmt.Sprintf("10.%d.%d.%d", relation, unit/250, unit%250+1)},
		Serial: fmt.Sprintf("%08x%08x", relation*7919, unit*104729+1), Subject: "CN=" + name, Issuer: "CN=signet k8s-prod", Generation: 1, KeyType: "ecdsa-p256",
		NotAfter: now.Add(left), NotBefore: now.Add(left - 365*day), RenewAt: now.Add(left - 122*day), Rule: "server",
	}
	if csr {
		one.Dialect = "csr"
	}
	if one.RenewAt.Before(now) {
		one.RenewAt = now.Add(3*day + time.Duration(unit)*time.Hour)
	}
	return one
}

// Troubled has everything that can be the matter: a new CA is being rolled out, certificates are late or over, requests refused.
func Troubled(now time.Time) view.View {
	now = now.UTC()
	shown := Steady(now)
	shown.Trouble = "cannot read the model: the controller is out of reach: dial tcp 10.0.0.9:17070: connection refused"
	shown.Turn = now.Add(-2 * time.Hour)
	shown.Conditions = []view.Condition{
		{Level: juju.Blocked, Message: `3 requests are refused: etcd/1: client certificate "system:masters" (identity-not-allowed); see signet requests list`},
		{Level: juju.Waiting, Message: "the CA's replacement is paused: run rotate-ca step=resume"},
		{Level: juju.Active, Message: "23 certificates, next renewal overdue since 2d, CA until 2026-12-20"},
	}
	shown.Status = view.Condition{Level: juju.Blocked, Message: shown.Conditions[0].Message + " (+1 more)"}
	shown.Options = []string{`renewal-interval: "soon" is no duration such as 15m, 2h or 30d`}
	shown.Rollover = view.Rollover{Phase: string(provider.Replacing), Paused: true, Note: "12 of 21 certificates are of CA 2"}
	old := shown.Authorities[0]
	old.Role, old.NotAfter, old.Until, old.Issued = "retiring", now.Add(24*day), now.Add(23*day), 9
	next := shown.Authorities[0]
	next.Generation, next.Role, next.Serial, next.Issued, next.NotBefore = 2, "signing", "8d11", 12, now.Add(-4*day)
	next.CRL = &view.CRL{Number: "1", ThisUpdate: now.Add(-8 * day), NextUpdate: now.Add(-day), Signed: true}
	shown.Authorities = []view.Authority{next, old}
	for i := range shown.Certificates {
		one := &shown.Certificates[i]
		one.Generation = 1 + i%2
		switch i {
		case 1:
			one.State, one.NotAfter, one.RenewAt = view.Expired, now.Add(-2*day), now.Add(-120*day)
		case 4:
			one.State, one.NotAfter, one.RenewAt = view.Expiring, now.Add(5*day), now.Add(-90*day)
		case 7:
			one.RenewAt = now.Add(-2 * day)
		case 9:
			one.State, one.RevokedAt, one.RevokedReason, one.RenewAt = view.Revoked, now.Add(-6*day), "keyCompromise", time.Time{}
		}
	}
	shown.Certificates = append(shown.Certificates, view.Certificate{
		Role: view.Issued, State: view.Waiting, Relation: "certificates:7", Application: "web", Unit: "web/5", Kind: "server", Dialect: "csr", CommonName: "web-5.k8s-prod.internal",
	})
	shown.Requests = refused(now)
	shown.Renewals = nil
	plan(&shown)
	return shown
}

func refused(now time.Time) []view.Request {
	return []view.Request{
		{
			ID: "3/etcd/1/system:masters", Outcome: view.Refused, Relation: "certificates:3", Application: "etcd", Unit: "etcd/1", Dialect: "legacy", Kind: "client",
			Item: `client certificate "system:masters"`, Since: now.Add(-30 * time.Hour), Code: "identity-not-allowed", Rule: "kubernetes",
			Reason: `system:masters is a group of Kubernetes' administrators; nobody gets it`,
			Fix:    `juju config signet policy-rules='[{"application": "etcd", "common-names": ["system:masters"]}]'`,
		},
		{
			ID: "7/web/3", Outcome: view.Refused, Relation: "certificates:7", Application: "web", Unit: "web/3", Dialect: "csr", Kind: "server", CommonName: "*.example.com",
			Since: now.Add(-20 * time.Minute), Code: "wildcard-not-allowed", Reason: "wildcards are for nobody: <script>alert(1)</script>",
			Fix: `juju config signet policy-rules='[{"application": "web", "wildcards": true}]'`,
		},
		{
			ID: "7/web/4", Outcome: view.Refused, Relation: "certificates:7", Application: "web", Unit: "web/4", Dialect: "csr",
			Item: `certificate signing request 1`, Since: now.Add(-3 * time.Minute), Code: "malformed", Reason: "it is no PEM block CERTIFICATE REQUEST",
		},
		{ID: "7/web/5", Outcome: view.InWaiting, Relation: "certificates:7", Application: "web", Unit: "web/5", Dialect: "csr", Kind: "server", CommonName: "web-5.k8s-prod.internal"},
		{
			ID: "3/etcd/0", Outcome: view.Granted, Lapsing: true, Relation: "certificates:3", Application: "etcd", Unit: "etcd/0", Dialect: "legacy", Kind: "server",
			CommonName: "etcd-0.k8s-prod.internal", Code: "name-not-allowed", Reason: "the name is of no domain in allowed-domains", Serial: "00005ccd00000001",
			Fix: "juju config signet allowed-domains='k8s-prod.internal'",
		},
	}
}

// plan makes the calendar.
func plan(shown *view.View) {
	for _, one := range shown.Certificates {
		if one.RenewAt.IsZero() {
			continue
		}
		shown.Renewals = append(shown.Renewals, view.Renewal{
			At: one.RenewAt, Event: view.Renews, Serial: one.Serial, Name: one.CommonName, Application: one.Application, Unit: one.Unit, Relation: one.Relation,
			Generation: one.Generation,
		})
	}
	for _, one := range shown.Authorities {
		shown.Renewals = append(shown.Renewals, view.Renewal{At: one.NotAfter, Event: view.CAExpires, Generation: one.Generation, Name: one.Subject})
		if one.CRL != nil {
			shown.Renewals = append(shown.Renewals, view.Renewal{At: one.CRL.NextUpdate, Event: view.ListExpiry, Generation: one.Generation, Name: one.Subject})
		}
	}
	slices.SortStableFunc(shown.Renewals, func(x, y view.Renewal) int { return x.At.Compare(y.At) })
}

// Large is a leader that issued for so many units, 50 of each application.
func Large(now time.Time, units int) view.View {
	shown := Steady(now)
	shown.Certificates, shown.Renewals, shown.Requests = nil, nil, nil
	for i := range units {
		app := fmt.Sprintf("application-%03d", i/50)
		one := server(now, app, i, 3+i/50, time.Duration(5+(i*13)%360)*day, i%2 == 0)
		shown.Certificates = append(shown.Certificates, one)
		shown.Requests = append(shown.Requests, view.Request{
			ID: one.Serial, Outcome: view.Granted, Relation: one.Relation, Application: app, Unit: one.Unit, Dialect: one.Dialect, CommonName: one.CommonName,
		})
		if i%3 == 0 {
			last := &shown.Requests[i]
			last.Outcome, last.Code, last.Reason = view.Refused, "name-not-allowed", "the name is of no domain in allowed-domains"
		}
	}
	plan(&shown)
	return shown
}
