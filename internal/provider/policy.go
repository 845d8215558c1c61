// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"fmt"
	"slices"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/policy"
)

// terms are what an ask may have.
type terms struct {
	spec     cert.Spec
	verdict  policy.Verdict
	reported policy.Verdict // what the policy would say if it were more than reported
	request  policy.Request
}

// terms asks the policy about one ask. An error means that no certificate can be made of it.
func (s *step) terms(ask dialect.Ask, holders nodeHolders) (terms, error) {
	spec, err := s.spec(ask)
	if err != nil {
		return terms{}, err
	}
	t := terms{spec: spec, request: s.petition(ask, spec)}
	t.request.NodeHolder = holders.other(ask)
	t.judge(s.settings)
	return t, nil
}

// judge asks the policy, and takes what it says into the spec. A CA certificate has the limits that the policy would give it
// also while that is only reported: it lives for years, and would outlast the trial.
func (t *terms) judge(settings Settings) {
	t.verdict = settings.Policy.Judge(t.request)
	if settings.ReportOnly && settings.Policy.Mode != policy.Open {
		t.reported = t.verdict
		open := settings.Policy
		open.Mode = policy.Open
		t.verdict = open.Judge(t.request)
		t.verdict.PathLen, t.verdict.Constraints = t.reported.PathLen, t.reported.Constraints
	}
	t.spec.Without, t.spec.PathLen, t.spec.Constraints = t.verdict.Without, t.verdict.PathLen, t.verdict.Constraints
	if t.verdict.ServersOnly {
		t.spec.ClientAuth = false
	}
}

// weakness says why the key that is to be certified is one to refuse; it takes time.
func (t *terms) weakness() *policy.Refusal {
	if reason := cert.KnownWeakness(t.request.Key); reason != "" {
		return &policy.Refusal{Code: policy.WeakKey, Rule: "keys", Reason: reason + ": make a new key"}
	}
	return nil
}

// petition is an ask as the policy sees it.
func (s *step) petition(ask dialect.Ask, spec cert.Spec) policy.Request {
	request := policy.Request{
		App: ask.App, CrossModel: juju.Relation{RemoteApp: ask.App}.CrossModel(), Kind: spec.Kind,
		CommonNames: []string{ask.CommonName}, Names: spec.Names.With(ask.Names),
		ServerAuth: spec.ServerAuth, ClientAuth: spec.ClientAuth, Shared: isGlobalClient(ask),
	}
	if parsed, err := s.memory.of(ask.Relation).ParseRequest(spec.Request); spec.Request != "" && err == nil {
		asked := cert.ReadRequested(parsed)
		request.Asked, request.CommonNames, request.Key = &asked, asked.CommonNames, parsed.PublicKey
	}
	return request
}

// refused is a refusal of the policy as a denial of the ask.
func (s *step) refused(ask dialect.Ask, refusal policy.Refusal) *dialect.Denial {
	denial := s.deny(ask, dialect.Code(refusal.Code), refusal.Reason)
	denial.Rule, denial.Fix = refusal.Rule, refusal.Fix
	return denial
}

// note counts what the operator should know of an ask that keeps its certificate: that it would be refused, were the policy
// more than reported, or that it was issued by other rules, so that it will not be renewed, or with other limits.
func (s *step) note(ask dialect.Ask, current cert.Issued, t terms) {
	switch {
	case len(t.reported.Refusals) > 0:
		s.reported = append(s.reported, *s.refused(ask, t.reported.Refusals[0]))
	case len(t.reported.Without) > 0:
		s.reported = append(s.reported, *s.refused(ask, policy.Refusal{
			Code: policy.IdentityNotAllowed, Rule: "identities", Reason: fmt.Sprintf("the organizations %q would be left out", t.reported.Without),
		}))
	}
	if !t.verdict.Allowed() {
		s.lapsing = append(s.lapsing, *s.refused(ask, t.verdict.Refusals[0]))
		return
	}
	if ask.Kind != cert.Intermediate {
		return
	}
	if leaf, err := s.memory.of(ask.Relation).Parse(current.Certificate); err == nil && !cert.HasLimits(leaf, t.spec) {
		s.unlike = append(s.unlike, cert.SerialText(leaf.SerialNumber))
	}
}

// reportPolicy says what the policy lets through.
func (s *step) reportPolicy() {
	if s.settings.Policy.Mode == policy.Open {
		s.report(juju.Active, "policy=open: whoever is related gets any name it asks for")
	}
	if len(s.reported) > 0 {
		s.report(juju.Active, "policy-report-only: %d would be refused: %s", len(s.reported), s.reported[0])
	}
	if len(s.lapsing) > 0 {
		s.report(juju.Active, "%s will not be renewed: %s", count(len(s.lapsing), "certificate"), s.lapsing[0])
	}
	if len(s.unlike) > 0 {
		s.report(juju.Active, "%s of others with other limits than the policy gives now, until the renewal; to replace one at once: "+
			"juju run %s/leader revoke serial=%s reason=superseded", count(len(s.unlike), "CA certificate"), s.snap.Application(), s.unlike[0])
	}
}

// admit lets through the asks that this application answers at all, and no more of them than the quotas allow. What has a
// certificate is counted first and not refused: a limit that is lowered takes nothing away.
func (s *step) admit(reading dialect.Reading, published *dialect.Index) ([]dialect.Ask, []dialect.Denial) {
	denials := append([]dialect.Denial(nil), reading.Denials...)
	var asks []dialect.Ask
	for _, ask := range reading.Asks {
		if ask.Dialect == dialect.Legacy && !s.settings.Legacy {
			denial := s.deny(ask, dialect.DialectOff, "the legacy dialect is off")
			denial.Fix = fmt.Sprintf("juju config %s legacy-dialect=true", s.snap.Application())
			denials = append(denials, *denial)
			continue
		}
		asks = append(asks, ask)
	}
	perUnit, standing := map[string]int{}, 0
	has := make([]bool, len(asks))
	for i, ask := range asks {
		if has[i] = current(published, ask).Certificate != ""; has[i] {
			perUnit[ask.Unit]++
			standing++
		}
	}
	admitted := asks[:0:0]
	for i, ask := range asks {
		option, limit := "", 0
		switch {
		case has[i]:
		case perUnit[ask.Unit] >= s.settings.RequestsPerUnit:
			option, limit = "requests-per-unit", s.settings.RequestsPerUnit
		case standing >= s.settings.RequestsPerRelation:
			option, limit = "requests-per-relation", s.settings.RequestsPerRelation
		default:
			perUnit[ask.Unit]++
			standing++
		}
		if option == "" {
			admitted = append(admitted, ask)
			continue
		}
		denial := s.deny(ask, dialect.TooMany, fmt.Sprintf("it is beyond the %d requests that %s allows", limit, option))
		denial.Rule, denial.Fix = "quota", fmt.Sprintf("juju config %s %s=%d", s.snap.Application(), option, 2*limit)
		denials = append(denials, *denial)
	}
	return admitted, denials
}

// apart takes out of the certificate that all units of an application share what one of them may not have, so that the
// others get it all the same. A certificate that has all the names stays as it is until its renewal; when nobody's names are
// allowed, the ask is refused as a whole.
func (s *step) apart(asks []dialect.Ask, wishes []dialect.Wish, published *dialect.Index) ([]dialect.Ask, []dialect.Denial) {
	at := slices.IndexFunc(asks, func(ask dialect.Ask) bool { return ask.Kind == cert.Application })
	if at < 0 || s.settings.ReportOnly {
		return asks, nil
	}
	ask := asks[at]
	if leaf, err := cert.Parse(current(published, ask).Certificate); err == nil && cert.NamesOf(leaf).With(ask.Names).Equal(cert.NamesOf(leaf)) {
		return asks, nil
	}
	allowed := ask
	allowed.CommonName, allowed.Names = "", cert.Names{}
	var denials []dialect.Denial
	for _, wish := range wishes {
		one := ask
		one.Unit, one.CommonName, one.Names = wish.Unit, wish.CommonName, wish.Names
		spec, err := s.spec(one)
		if err != nil {
			continue
		}
		if verdict := s.settings.Policy.Judge(s.petition(one, spec)); !verdict.Allowed() {
			denial := s.refused(one, verdict.Refusals[0])
			denial.Ask = "" // the others' ask goes on
			denials = append(denials, *denial)
			continue
		}
		if allowed.CommonName == "" {
			allowed.CommonName = wish.CommonName
		}
		allowed.Names = allowed.Names.With(wish.Names)
	}
	if allowed.CommonName == "" {
		return asks, nil
	}
	asks = slices.Clone(asks)
	asks[at] = allowed
	return asks, denials
}

// capabilities are what an application may hope for, by the policy.
func (s *step) capabilities(relation juju.Relation) *dialect.Capabilities {
	may := s.settings.Policy.Offers(relation.RemoteApp, relation.CrossModel())
	yes := true
	return &dialect.Capabilities{
		IPSANs: &may.Addresses, WildcardDNS: &may.Wildcards, Subdomain: &yes, CACertificates: &may.CA,
		AllowedDomains: may.Domains, ProviderType: "signet",
	}
}

// Explained is what the policy says about one ask, and why.
type Explained struct {
	Ask      dialect.Ask
	Spec     cert.Spec        // what the certificate would say; zero where none can be made
	Verdict  policy.Verdict   // with the settings as they are
	Refusals []dialect.Denial // what it would be refused for; none when it would be granted
}

// Explain says what would become of what a relation asks for, were it all new: for people, before anybody asks. What no ask
// could be made of, and what is not admitted, comes as denials.
func Explain(application string, settings Settings, relation juju.Relation) ([]Explained, []dialect.Denial) {
	settings.Policy.Provider = application
	s := &step{settings: settings, memory: &Memory{}, snap: juju.Snapshot{Unit: application + "/0"}}
	published := dialect.NewIndex(relation)
	reading := dialect.Read(relation)
	asks, denials := s.admit(reading, published)
	holders := nodeHolders{}
	holders.take(published, reading.Asks, asks)
	var list []Explained
	for _, ask := range asks {
		explained := Explained{Ask: ask}
		terms, err := s.terms(ask, holders)
		if err != nil {
			explained.Refusals = append(explained.Refusals, *s.deny(ask, dialect.Malformed, err.Error()))
			list = append(list, explained)
			continue
		}
		explained.Spec, explained.Verdict = terms.spec, terms.verdict
		if len(terms.reported.Refusals) > 0 {
			explained.Verdict.Refusals = terms.reported.Refusals
		}
		refusals := explained.Verdict.Refusals
		if weak := terms.weakness(); weak != nil {
			refusals = append(refusals, *weak)
		}
		for _, refusal := range refusals {
			explained.Refusals = append(explained.Refusals, *s.refused(ask, refusal))
		}
		list = append(list, explained)
	}
	return list, denials
}
