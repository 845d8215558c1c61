// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
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

// provision is what an operator brings in one action, and what came of it.
type provision struct {
	leaves   []*x509.Certificate
	verdicts map[int][]string // of leaves that were put in service, or would be: for whom
	faults   map[int]string   // of leaves: the reason why not
	request  string           // PEM: only for this one; empty for any
	relation int              // likewise; negative for any
	unit     string
	trial    bool
	learned  bool // a CA alone was brought
	open     bool // a judgement is awaited
}

// actProvide takes up certificates that an operator had signed. What becomes of them is known once all relations were served.
func (s *step) actProvide(params *juju.Config) {
	p := &provision{
		verdicts: map[int][]string{}, faults: map[int]string{}, relation: params.Count("relation-id", -1, -1, 1<<30),
		unit: params.Text("unit-name", ""), trial: params.Flag("dry-run", false),
	}
	if len(params.Errors) > 0 {
		return
	}
	if !s.settings.Hand && !s.byHand() {
		s.fail("the CA here signs by itself: set the option authority=manual to sign elsewhere")
		return
	}
	var pool []*x509.Certificate
	for _, name := range []string{"certificate", "ca-certificate", "ca-chain"} {
		text := unwrapped(params.Text(name, ""))
		if text == "" {
			continue
		}
		parsed, err := cert.ParseCertificates(text)
		if err != nil {
			s.fail("parameter %s: %v: give PEM, or PEM in base64: %s=\"$(base64 -w0 FILE)\"", name, err, name)
			return
		}
		if pool = append(pool, parsed...); name == "certificate" {
			p.leaves = parsed
		}
	}
	if text := unwrapped(params.Text("certificate-signing-request", "")); text != "" {
		if _, err := cert.ParseRequest(text); err != nil {
			s.fail("parameter certificate-signing-request: %v", err)
			return
		}
		p.request = text
	}
	if len(pool) == 0 {
		s.fail("parameter certificate is missing: give one or more signed certificates: certificate=\"$(base64 -w0 signed.pem)\"")
		return
	}
	if err := s.meet(p, pool); err != nil {
		s.fail("cannot take up the CA: %v", err)
		return
	}
	s.hand, s.late = p, s.concludeProvision
}

// unwrapped is a text that may come in base64.
func unwrapped(text string) string {
	if decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); err == nil && strings.Contains(string(decoded), "-----BEGIN ") {
		return strings.TrimSpace(string(decoded))
	}
	return text
}

// meet takes up the CA that signed what is brought, where it is a new one.
func (s *step) meet(p *provision, pool []*x509.Certificate) error {
	if len(p.leaves) == 0 {
		issuer, err := lowest(pool)
		if err != nil {
			return err
		}
		p.learned = true
		return s.learn(issuer, pool)
	}
	ends := slices.ContainsFunc(p.leaves, func(c *x509.Certificate) bool { return !c.IsCA })
	for _, leaf := range p.leaves {
		above := s.linked(leaf, encodeAll(pool))
		if _, _, ours := s.issuerOf(leaf); leaf.IsCA && ends || len(above) == 0 { // of a chain, or above nothing
			continue
		} else if !ours || len(above) > 1 {
			fresh := s.current.slot == nil || s.byHand() && s.unissued() || s.sharesRoot(above)
			if !ours && !fresh {
				continue // strange says why it is not taken
			}
			if err := s.learn(above[0], pool); err != nil {
				return err
			}
		}
	}
	return nil
}

// sharesRoot reports whether a chain ends in the root of the CA in force.
func (s *step) sharesRoot(chain []*x509.Certificate) bool {
	return s.current.root() == cert.EncodeCertificates(chain[len(chain)-1])
}

// lowest is the CA certificate that none of the others is below.
func lowest(pool []*x509.Certificate) (*x509.Certificate, error) {
	below := slices.DeleteFunc(slices.Clone(pool), func(c *x509.Certificate) bool {
		return slices.ContainsFunc(pool, func(other *x509.Certificate) bool { return !other.Equal(c) && cert.IssuedBy(other, c) })
	})
	below = slices.CompactFunc(below, (*x509.Certificate).Equal)
	if len(below) != 1 {
		return nil, fmt.Errorf("%d CAs are given, none above the other: give the one that signs, and those above it as ca-chain", len(below))
	}
	return below[0], nil
}

// brought gives the certificate that an operator brought for what is outstanding, once it is judged.
func (s *step) brought(one outstanding, wanted order.Sign) (order.Answer, bool) {
	if s.hand == nil || s.late == nil {
		return order.Answer{}, false
	}
	request, err := cert.ParseRequest(one.Request)
	if err != nil {
		return order.Answer{}, false
	}
	p := s.hand
	for i, leaf := range p.leaves {
		if !cert.SameKey(leaf.PublicKey, request.PublicKey) || one.leaf != nil && leaf.Equal(one.leaf) {
			continue
		}
		switch other := p.other(one); {
		case other != "":
			p.blame(i, other)
			continue
		case s.strange(leaf) != "":
			p.blame(i, s.strange(leaf))
			continue
		}
		wanted.Key = cert.NewKey(one.Key)
		wanted.Signer = order.Signer{Authority: s.current.public(), Hand: &order.Hand{Certificate: cert.EncodeCertificates(leaf), Trial: p.trial}}
		answer, done := s.obtain(wanted)
		switch {
		case done:
			p.verdicts[i] = append(p.verdicts[i], fmt.Sprintf("%s: %s", asker(one.ask), describe(one.ask)))
			return answer, !p.trial
		case answer.Failure != nil:
			p.blame(i, answer.Failure.Message+advice(one, answer.Failure.Message))
		default:
			p.open = true
			if !p.trial {
				s.decision.Entries = append(s.decision.Entries, s.ordered(one.ask, wanted))
			}
		}
	}
	return order.Answer{}, false
}

func (p *provision) blame(leaf int, reason string) {
	if p.faults[leaf] == "" {
		p.faults[leaf] = reason
	}
}

// other says that a request is not the one that is meant; empty when it may be.
func (p *provision) other(one outstanding) string {
	switch {
	case p.relation >= 0 && p.relation != one.ask.Relation:
		return fmt.Sprintf("the request for its key is of relation %d, not %d", one.ask.Relation, p.relation)
	case p.unit != "" && p.unit != one.ask.Unit:
		return fmt.Sprintf("the request for its key is %s's, not %s's", asker(one.ask), p.unit)
	case p.request != "" && strings.TrimSpace(p.request) != strings.TrimSpace(one.Request):
		return "it is not for the key of the request that is given"
	}
	return ""
}

// asker names who asks, for people.
func asker(ask dialect.Ask) string {
	if ask.Unit == "" {
		return ask.App
	}
	return ask.Unit
}

// concludeProvision tells what came of what was brought. Where nothing of it is good, nothing changes.
func (s *step) concludeProvision() {
	p := s.hand
	if p.open {
		return
	}
	if s.current.slot != nil {
		s.did("CA %d is %s", s.current.Generation, s.current.certificate.Subject)
	}
	standing := s.published(anything)
	var taken, refused []string
	for i, leaf := range p.leaves {
		name := fmt.Sprintf("certificate %s %s", cert.SerialText(leaf.SerialNumber), leaf.Subject)
		served := slices.ContainsFunc(standing, func(one issued) bool { return one.leaf.Equal(leaf) })
		switch {
		case len(p.verdicts[i]) > 0:
			taken = append(taken, p.verdicts[i]...)
			s.did("%s fits %s", name, strings.Join(p.verdicts[i], ", "))
		case p.faults[i] != "":
			refused = append(refused, name+": "+p.faults[i])
			s.did("%s is refused: %s", name, p.faults[i])
		case served:
			taken = append(taken, name+" is in service already")
		case leaf.IsCA: // of its chain
		default:
			refused = append(refused, name+": no outstanding request is for its key: see get-outstanding-certificate-requests")
		}
	}
	results := map[string]string{"count": strconv.Itoa(len(taken))}
	if len(taken) > 0 {
		results["provided"] = strings.Join(taken, "\n")
		results["result"] = "Certificates successfully provided."
	}
	if p.learned {
		results["result"] = "the CA is known"
		if note := s.rolloverNote(); note != "" {
			results["rollover"] = note
		}
	}
	if s.current.slot != nil && !selfSigned(s.current.root()) {
		results["note"] = "the root of the CA's chain is not known yet: give it as ca-chain, or integrate receive-ca-cert with who has it"
	}
	result := juju.Result{Results: results}
	if len(refused) > 0 {
		results["refused"] = strings.Join(refused, "\n")
		result.Failure = refused[0]
		if more := len(refused) - 1; more > 0 {
			result.Failure += fmt.Sprintf(" (+%d more)", more)
		}
	} else if len(taken) == 0 && !p.learned {
		result.Failure = "nothing but CA certificates was given as certificate: give a CA alone as ca-certificate"
	}
	if p.trial {
		delete(results, "note")
		if results["result"] != "" {
			results["result"] = dryRun
		}
	}
	s.undone = p.trial || result.Failure != "" && len(taken) == 0
	s.decision.Result = &result
}

// outstandingView is what get-outstanding-certificate-requests tells of one; the first two members are those of the
// manual-tls-certificates charm.
type outstandingView struct {
	Request     string   `json:"csr"`
	Relation    int      `json:"relation_id"`
	Application string   `json:"application_name"`
	Unit        string   `json:"unit_name,omitempty"`
	Dialect     string   `json:"dialect"`
	Kind        string   `json:"kind"`
	CommonName  string   `json:"common_name,omitempty"`
	Names       []string `json:"names,omitempty"`
	Extensions  string   `json:"extensions"` // that it shall have besides its names, as OpenSSL's -extfile
	Since       string   `json:"requested_at"`
	Age         string   `json:"age"`
	Hash        string   `json:"sha256"`               // of the request's DER
	Ends        string   `json:"renews_end,omitempty"` // of the certificate that is in service meanwhile
}

func (s *step) viewOutstanding(one outstanding) outstandingView {
	view := outstandingView{
		Request: strings.TrimSpace(one.Request), Relation: one.ask.Relation, Application: one.ask.App, Unit: one.ask.Unit,
		Dialect: string(one.ask.Dialect), Kind: string(one.spec.Kind), CommonName: one.ask.CommonName,
		Names: one.spec.Names.With(one.ask.Names).List(), Extensions: extensions(one),
		Since: one.Since.Format(time.RFC3339), Age: coarse(s.now.Sub(one.Since)),
	}
	if block, _ := pem.Decode([]byte(one.Request)); block != nil {
		sum := sha256.Sum256(block.Bytes)
		view.Hash = hex.EncodeToString(sum[:])
	}
	if one.leaf != nil {
		view.Ends = one.leaf.NotAfter.UTC().Format(time.RFC3339)
	}
	return view
}

// actOutstanding lists what an operator has to have signed.
func (s *step) actOutstanding(params *juju.Config) {
	relation := params.Count("relation-id", -1, -1, 1<<30)
	if len(params.Errors) > 0 {
		return
	}
	s.late = func() {
		views, lines, blocks := []outstandingView{}, []string{}, []string{}
		for _, one := range s.outstanding {
			if relation >= 0 && one.ask.Relation != relation {
				continue
			}
			view := s.viewOutstanding(one)
			views, blocks = append(views, view), append(blocks, view.Request)
			lines = append(lines, fmt.Sprintf("relation %d %s: %s, %s, for %s, sha256 %s", view.Relation, asker(one.ask), describe(one.ask),
				strings.Join(usages(one.spec), "+"), view.Age, view.Hash))
		}
		text, err := json.Marshal(views)
		if err != nil {
			s.fail("cannot encode the requests: %v", err)
			return
		}
		results := map[string]string{"result": string(text), "count": strconv.Itoa(len(views))}
		if len(lines) > 0 {
			results["requests"], results["pem"] = strings.Join(lines, "\n"), strings.Join(blocks, "\n")
			results["next-step"] = "have each csr signed, then: juju run " + s.snap.Application() +
				"/leader provide-certificate certificate=\"$(base64 -w0 signed.pem)\" ca-certificate=\"$(base64 -w0 ca.pem)\""
		}
		s.succeed(results)
	}
}

// advice says how to have a certificate signed that has other usages than it shall have.
func advice(one outstanding, reason string) string {
	if !strings.Contains(reason, "key usage is") && !strings.Contains(reason, "basic constraints") {
		return ""
	}
	return "; have it signed with " + strings.ReplaceAll(extensions(one), "\n", ", ")
}
