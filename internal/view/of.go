// SPDX-License-Identifier: AGPL-3.0-only

package view

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/requirer"
)

// Facts are what a view is made of. The zero value of each is that it is not known.
type Facts struct {
	Now       time.Time // certificates are held against it
	Turn      time.Time // of the turn
	Trouble   string    // why the last turn came to nothing, or why there was none
	Unit      string
	Version   string
	Snapshot  juju.Snapshot // as it stands after the turn; zero where only the disk is known
	Authority provider.Overview
	Consumer  requirer.Overview
	Reports   []juju.Status // the worst first
	Options   []string      // faults of options
	Wake      time.Time
	Installed []Installed // what lies on the disk
	Entries   []ledger.Entry
	Unread    string // why the record cannot be read
}

// Installed is a certificate that is laid on this machine's disk for the unit.
type Installed struct {
	Name string // "server", "client"
	Path string
	PEM  string // with those that follow it
}

// Of makes the view. It is pure, and total: what cannot be read is left out.
func Of(facts Facts) View {
	b := builder{facts: facts, relations: map[int]juju.Relation{}}
	for _, relation := range facts.Snapshot.Relations {
		b.relations[relation.ID] = relation
	}
	b.fold()
	snap := facts.Snapshot
	b.view = View{
		Source: FromAgent, At: facts.Now.UTC(), Turn: facts.Turn.UTC(), Trouble: facts.Trouble,
		Unit: facts.Unit, Application: juju.ApplicationOf(facts.Unit), Model: snap.ModelName, ModelUUID: snap.ModelUUID,
		Version: facts.Version, JujuVersion: snap.JujuVersion, Leader: snap.Leader, Signing: facts.Authority.Signing,
		Status: Condition(snap.Status), Options: facts.Options, Wake: facts.Wake,
		Rollover: Rollover{
			Phase: string(facts.Authority.Phase), Note: facts.Authority.Note, Paused: facts.Authority.Paused, Next: facts.Authority.RolloverAt,
		},
	}
	for _, report := range facts.Reports {
		b.view.Conditions = append(b.view.Conditions, Condition(report))
	}
	if snap.Unit == "" {
		b.view.Source = FromDisk
		b.recorded()
	} else {
		b.view.Settings = settingsOf(snap)
		b.asked()
		b.denied()
	}
	b.wanted()
	b.authorities()
	b.calendar()
	b.count()
	return b.view
}

// builder makes one View.
type builder struct {
	facts     Facts
	relations map[int]juju.Relation
	record    ledger.Ledger
	since     map[string]time.Time // of asks, by ID: when they were first recorded
	view      View
}

func (b *builder) fold() {
	var err error
	if b.record, err = ledger.Fold(b.facts.Entries); err != nil && b.facts.Unread == "" {
		b.facts.Unread = err.Error()
	}
	b.since = map[string]time.Time{}
	for _, entry := range b.facts.Entries {
		if _, known := b.since[entry.Ask]; entry.Ask != "" && !known {
			b.since[entry.Ask] = entry.Time.UTC()
		}
	}
}

// relation gives a relation's name in Juju's tools, and its endpoint.
func (b *builder) relation(id int) (key, endpoint string) {
	if known, found := b.relations[id]; found {
		return known.Key(), known.Endpoint.Name
	}
	return strconv.Itoa(id), ""
}

// certificate is what a certificate says of itself.
func (b *builder) certificate(leaf *x509.Certificate) Certificate {
	return Certificate{
		CommonName: leaf.Subject.CommonName, Names: cert.NamesOf(leaf).List(), Serial: cert.SerialText(leaf.SerialNumber),
		SHA256: sum(leaf.Raw), Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(), KeyType: keyType(leaf),
		NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(), PEM: cert.EncodeCertificates(leaf), State: b.stateOf(leaf),
	}
}

// stateOf is a certificate's state by its time alone.
func (b *builder) stateOf(leaf *x509.Certificate) State {
	now, life := b.facts.Now, leaf.NotAfter.Sub(leaf.NotBefore)
	switch {
	case now.After(leaf.NotAfter):
		return Expired
	case !now.Before(leaf.NotAfter.Add(-life / 10)):
		return Expiring
	}
	return Valid
}

// keyType names the kind of a key, also of one that signet never makes.
func keyType(leaf *x509.Certificate) string {
	if known, err := cert.KeyTypeOf(leaf.PublicKey); err == nil {
		return string(known)
	}
	return strings.ToLower(leaf.PublicKeyAlgorithm.String())
}

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}

// asked shows what others ask for, and what they have.
func (b *builder) asked() {
	refusals := map[dialect.AskID]dialect.Denial{}
	for _, denial := range b.facts.Authority.Denials {
		if _, known := refusals[denial.Ask]; denial.Ask != "" && !known {
			refusals[denial.Ask] = denial
		}
	}
	for _, asked := range b.facts.Authority.Asks {
		if asked.Denial == nil {
			if denial, refused := refusals[asked.Ask.ID()]; refused {
				asked.Denial = &denial
			}
		}
		one, outcome := b.issued(asked), Granted
		if !asked.Orphaned {
			r := b.request(asked, one)
			b.view.Requests, outcome = append(b.view.Requests, r), r.Outcome
		}
		if asked.Leaf != nil || outcome != Refused { // nothing is to come of a refusal
			b.view.Certificates = append(b.view.Certificates, one)
		}
	}
}

// issued shows what an ask has.
func (b *builder) issued(asked provider.Asked) Certificate {
	ask := asked.Ask
	one := Certificate{CommonName: ask.CommonName, Names: ask.Names.List(), State: Waiting}
	if asked.Leaf != nil {
		one = b.certificate(asked.Leaf)
	}
	one.Relation, one.Endpoint = b.relation(ask.Relation)
	one.Role, one.Application, one.Unit, one.Kind, one.Dialect = Issued, ask.App, ask.Unit, string(ask.Kind), string(ask.Dialect)
	if one.Kind == "" || ask.Dialect == dialect.CSR {
		one.Kind = cmp.Or(kindOf(asked.Leaf), one.Kind)
	}
	one.Generation, one.Orphaned = asked.Generation, asked.Orphaned
	one.RenewAt, one.PutOff = asked.Renew.UTC(), asked.PutOff.UTC()
	if ask.Dialect == dialect.CSR && ask.Request != "" {
		one.Request = sum([]byte(ask.Request))
	}
	switch {
	case asked.Held:
		one.State = Held
	case asked.Revoked:
		one.State = Revoked
	}
	if known, found := b.record.Serial(one.Serial); found && one.Serial != "" {
		one.Rule, one.RevokedAt = known.Rule, known.RevokedAt
		if known.State == ledger.Revoked {
			one.RevokedReason = known.Why
		}
	}
	return one
}

// kindOf tells what a certificate is good for; empty where there is none.
func kindOf(leaf *x509.Certificate) string {
	switch {
	case leaf == nil:
		return ""
	case leaf.IsCA:
		return string(cert.Intermediate)
	case slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth):
		return string(cert.Server)
	case slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		return string(cert.Client)
	}
	return ""
}

func (b *builder) request(asked provider.Asked, one Certificate) Request {
	ask := asked.Ask
	r := Request{
		ID: string(ask.ID()), Outcome: Granted, Relation: one.Relation, Endpoint: one.Endpoint, Application: ask.App, Unit: ask.Unit,
		Dialect: string(ask.Dialect), Kind: one.Kind, CommonName: ask.CommonName, Names: ask.Names.List(), Hash: one.Request,
		Since: b.since[string(ask.ID())], Rule: one.Rule, Serial: one.Serial, PEM: ask.Request,
	}
	if r.Since.IsZero() {
		r.Since = one.NotBefore
	}
	switch {
	case asked.Denial != nil:
		r.refuse(*asked.Denial)
	case asked.Pending:
		r.Outcome = Outstanding
	case asked.Leaf == nil:
		r.Outcome = InWaiting
	case asked.Held:
		r.Outcome, r.Code, r.Reason = Refused, string(dialect.Revoked), "its certificate is revoked for good, and its owner is told to stop using it"
	}
	return r
}

func (r *Request) refuse(denial dialect.Denial) {
	r.Outcome, r.Code, r.Reason, r.Item = Refused, string(denial.Code), denial.Reason, denial.Item
	r.Rule, r.Fix = denial.Rule, denial.Fix
	if denial.Code.Temporary() {
		r.Outcome = InWaiting
	}
}

// denied shows refusals of what is no ask, and what the policy says of asks that have their certificates.
func (b *builder) denied() {
	at := map[string]int{}
	for i, r := range b.view.Requests {
		at[r.ID] = i
	}
	for _, denial := range b.facts.Authority.Denials {
		if _, shown := at[string(denial.Ask)]; shown {
			continue
		}
		r := b.item(denial)
		r.refuse(denial)
		if r.ID == "" {
			r.ID = fmt.Sprintf("%d/%s/%s", denial.Relation, denial.Unit, denial.Item)
		} else {
			at[r.ID] = len(b.view.Requests)
		}
		b.view.Requests = append(b.view.Requests, r)
	}
	for _, denial := range b.facts.Authority.Reported {
		if i, shown := at[string(denial.Ask)]; shown {
			r := &b.view.Requests[i]
			r.Reported, r.Code, r.Reason, r.Rule, r.Fix = true, string(denial.Code), denial.Reason, denial.Rule, denial.Fix
		}
	}
	for _, denial := range b.facts.Authority.Lapsing {
		if i, shown := at[string(denial.Ask)]; shown {
			r := &b.view.Requests[i]
			r.Lapsing, r.Code, r.Reason, r.Rule, r.Fix = true, string(denial.Code), denial.Reason, denial.Rule, denial.Fix
		}
	}
}

func (b *builder) item(denial dialect.Denial) Request {
	r := Request{
		ID: string(denial.Ask), Unit: denial.Unit, Application: b.relations[denial.Relation].RemoteApp,
		Since: b.since[string(denial.Ask)], PEM: denial.Request,
	}
	r.Relation, r.Endpoint = b.relation(denial.Relation)
	if denial.Request != "" {
		r.Hash, r.Dialect = sum([]byte(denial.Request)), string(dialect.CSR)
	}
	return r
}
